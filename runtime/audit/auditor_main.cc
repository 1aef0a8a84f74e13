// orrery-auditor: judges the frames of links whose packet rings it was given, and tells.
//
// It is started by routerctl in an empty network namespace, with nothing in its root but itself and
// no capability: the rings, its configuration and one socket are all that it has (wire.h).
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "runtime/audit/ring.h"
#include "runtime/audit/wire.h"
#include "sandbox/base/file.h"

namespace orrery::audit {
namespace {

constexpr int kConfig = 3;
constexpr int kTalk = 4;

Status tell(const Json& json) {
  return writeAll(kTalk, json.dump() + "\n");
}

class Auditor {
 public:
  Auditor(AuditorConfig config, std::vector<PacketRing> rings)
      : config_(std::move(config)),
        rings_(std::move(rings)),
        audit_(config_.links, config_.session) {}

  Status run() {
    ORRERY_TRY(tell(Json::object({{"event", "watching"}})));
    for (;;) {
      ORRERY_TRY_ASSIGN(const bool asked, wait());
      ORRERY_TRY(drain());
      if (!asked) continue;
      char order = 0;
      const ssize_t got = ::read(kTalk, &order, 1);
      if (got <= 0) return {};
      ORRERY_TRY(drain());
      ORRERY_TRY(report());
    }
  }

 private:
  // True if routerctl says something.
  Result<bool> wait() {
    std::vector<pollfd> items = {{kTalk, POLLIN, 0}};
    for (const PacketRing& ring : rings_) items.push_back({ring.fd(), POLLIN, 0});
    if (::poll(items.data(), items.size(), -1) < 0) {
      if (errno == EINTR) return false;
      return sysError(errno, "wait");
    }
    for (std::size_t i = 0; i < rings_.size(); ++i)
      if ((items[i + 1].revents & POLLERR) != 0) rings_[i].clearError();
    return items[0].revents != 0;
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
    if (!audit_.judge(link, frame, seen.outgoing, seen.time)) return {};
    const LinkReport& report = audit_.link(link);
    return tell(Json::object({{"event", "violation"},
                              {"link", report.name},
                              {"violation", toJson(report.violations.back())}}));
  }

  Status report() {
    for (std::size_t i = 0; i < rings_.size(); ++i) {
      ORRERY_TRY_ASSIGN(const std::uint32_t lost, rings_[i].lost());
      audit_.lost(i, lost);
    }
    Json links = Json::array();
    for (const LinkReport& link : audit_.report()) links.push(toJson(link));
    return tell(Json::object({{"event", "report"}, {"links", std::move(links)}}));
  }

  AuditorConfig config_;
  std::vector<PacketRing> rings_;
  Audit audit_;
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
