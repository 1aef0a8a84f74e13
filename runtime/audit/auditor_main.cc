// orrery-auditor: judges the frames of links whose packet rings it was given, and tells.
//
// It is started by routerctl in an empty network namespace, with nothing in its root but itself and
// no capability: the rings, its configuration and one socket are all that it has (wire.h).
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/audit/ring.h"
#include "runtime/audit/wire.h"
#include "sandbox/base/file.h"

namespace orrery::audit {
namespace {

constexpr int kConfig = 3;
constexpr int kTalk = 4;
constexpr std::chrono::seconds kLossPause{1};

Status tell(const Json& json) {
  return writeAll(kTalk, json.dump() + "\n");
}

class Auditor {
 public:
  Auditor(AuditorConfig config, std::vector<PacketRing> rings)
      : config_(std::move(config)),
        rings_(std::move(rings)),
        audit_(config_.links, config_.session, config_.patience),
        untold_(rings_.size()) {}

  Status run() {
    ORRERY_TRY(tell(Json::object({{"event", "watching"}})));
    for (;;) {
      ORRERY_TRY_ASSIGN(const bool asked, wait());
      ORRERY_TRY(drain());
      if (asked) {
        std::array<char, 65536> chunk{};
        const ssize_t got = ::read(kTalk, chunk.data(), chunk.size());
        if (got <= 0) return {};
        // What came before an order is judged before it.
        ORRERY_TRY(drain());
        ORRERY_TRY(obey({chunk.data(), static_cast<std::size_t>(got)}));
      }
      ORRERY_TRY(tellFirsts(audit_.settle(now())));
      ORRERY_TRY(countLosses());
      ORRERY_TRY(tellLosses());
    }
  }

 private:
  static std::chrono::nanoseconds now() {
    return std::chrono::steady_clock::now().time_since_epoch();
  }

  // While something is held back, it sleeps in halves of the patience; -1: for ever.
  int timeout() const {
    const auto half = config_.patience.count() / 2 + 1;
    auto sleep = audit_.holdsBack() ? half : -1;
    if (std::ranges::any_of(untold_, [](std::uint64_t frames) { return frames != 0; })) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(tellAgain_ - now()).count();
      const auto pause = std::max<std::int64_t>(0, left);
      sleep = sleep < 0 ? pause : std::min(sleep, pause);
    }
    return static_cast<int>(sleep);
  }

  // True if routerctl says something.
  Result<bool> wait() {
    std::vector<pollfd> items = {{kTalk, POLLIN, 0}};
    for (const PacketRing& ring : rings_) items.push_back({ring.fd(), POLLIN, 0});
    if (::poll(items.data(), items.size(), timeout()) < 0) {
      if (errno == EINTR) return false;
      return sysError(errno, "wait");
    }
    for (std::size_t i = 0; i < rings_.size(); ++i)
      if ((items[i + 1].revents & POLLERR) != 0) rings_[i].clearError();
    return items[0].revents != 0;
  }

  Status obey(std::string_view bytes) {
    pending_.append(bytes);
    if (pending_.size() > kMaxJsonText) return error("an order without an end");
    for (std::size_t end; (end = pending_.find('\n')) != std::string::npos;
         pending_.erase(0, end + 1)) {
      ORRERY_TRY_ASSIGN(const Json json, parseJson(pending_.substr(0, end)));
      ORRERY_TRY_ASSIGN(AuditorOrder order, orderFromJson(json));
      ORRERY_TRY(order.contracts ? change(*std::move(order.contracts)) : report());
    }
    return {};
  }

  Status change(std::vector<LinkContract> contracts) {
    if (contracts.size() != rings_.size()) return error("contracts for other links");
    for (std::size_t i = 0; i < contracts.size(); ++i)
      audit_.setContract(i, std::move(contracts[i]), now());
    return tell(Json::object({{"event", "contracts"}}));
  }

  Status drain() {
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      RingFrame frame;
      while (rings_[i].next(frame)) ORRERY_TRY(take(i, frame));
    }
    return {};
  }

  Status take(std::size_t link, const RingFrame& seen) {
    const FrameView frame{Way::out, seen.bytes, seen.length, seen.tagged};
    if (config_.links[link].farEnd)
      if (const auto number = markerIn(config_.session, frame))
        return tell(Json::object({{"event", "marker"}, {"link", link}, {"number", *number}}));
    if (!audit_.judge(link, frame, seen.outgoing, seen.time, now())) return {};
    return tellFirsts({{link, audit_.link(link).violations.size() - 1}});
  }

  Status tellFirsts(const std::vector<Audit::FirstOfSort>& firsts) {
    for (const Audit::FirstOfSort& first : firsts) {
      const LinkReport& report = audit_.link(first.link);
      ORRERY_TRY(tell(Json::object({{"event", "violation"},
                                    {"link", report.name},
                                    {"violation", toJson(report.violations[first.violation])}})));
    }
    return {};
  }

  // A ring that is full has frames in it, so whoever has just emptied it misses no loss for long.
  Status countLosses() {
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      ORRERY_TRY_ASSIGN(const std::uint32_t lost, rings_[i].lost());
      audit_.lost(i, lost);
      untold_[i] += lost;
    }
    return {};
  }

  // The first at once, then in sums: where frames are lost they come faster than lines are read.
  Status tellLosses(bool all = false) {
    if (!all && now() < tellAgain_) return {};
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      if (untold_[i] == 0) continue;
      ORRERY_TRY(tell(Json::object(
          {{"event", "lost"}, {"link", audit_.link(i).name}, {"frames", untold_[i]}})));
      untold_[i] = 0;
      tellAgain_ = now() + kLossPause;
    }
    return {};
  }

  Status report() {
    ORRERY_TRY(tellFirsts(audit_.settleAll()));
    ORRERY_TRY(countLosses());
    ORRERY_TRY(tellLosses(true));
    Json links = Json::array();
    for (const LinkReport& link : audit_.report()) links.push(toJson(link));
    return tell(Json::object({{"event", "report"}, {"links", std::move(links)}}));
  }

  AuditorConfig config_;
  std::vector<PacketRing> rings_;
  Audit audit_;
  std::string pending_;                // of an order
  std::vector<std::uint64_t> untold_;  // frames lost, of each link
  std::chrono::nanoseconds tellAgain_{0};
};

Status runAuditor() {
  ORRERY_TRY_ASSIGN(const std::string text, readAll(kConfig, kMaxJsonText));
  ORRERY_TRY_ASSIGN(const Json json, parseJson(text));
  ORRERY_TRY_ASSIGN(AuditorConfig config, configFromJson(json));
  std::vector<PacketRing> rings;
  for (const int fd : config.fds) {
    ORRERY_TRY_ASSIGN(PacketRing ring, PacketRing::adopt(UniqueFd(fd)));
    rings.push_back(std::move(ring));
  }
  return Auditor(std::move(config), std::move(rings)).run();
}

}  // namespace
}  // namespace orrery::audit

int main() {
  const orrery::Status done = orrery::audit::runAuditor();
  if (done) return 0;
  const std::string text = "orrery-auditor: " + done.error().message + "\n";
  (void)!::write(STDERR_FILENO, text.data(), text.size());
  return 1;
}
