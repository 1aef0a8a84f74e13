#include "runtime/audit/audit.h"

#include <algorithm>
#include <utility>

#include "routers/contract/frame_builder.h"
#include "sandbox/base/strings.h"

namespace orrery::audit {
namespace {

constexpr std::size_t kNumberDigits = 4;

}  // namespace

std::string probeMark(const std::string& session, unsigned number) {
  return fmt::format("{}{:04x}", session, number);
}

Audit::Audit(std::vector<WatchedLink> links, std::string session, Nanoseconds patience)
    : links_(std::move(links)),
      former_(links_.size()),
      patience_(patience),
      passed_(links_.size()),
      session_(std::move(session)) {
  for (const WatchedLink& link : links_) reports_.push_back({.name = link.name});
}

std::optional<unsigned> Audit::probeIn(const FrameView& frame) const {
  if (session_.empty()) return std::nullopt;
  const auto at =
      std::search(frame.bytes.begin(), frame.bytes.end(), session_.begin(), session_.end());
  if (frame.bytes.end() - at < static_cast<std::ptrdiff_t>(session_.size() + kNumberDigits))
    return std::nullopt;
  const auto digits = at + static_cast<std::ptrdiff_t>(session_.size());
  const std::string text(digits, digits + kNumberDigits);
  const auto number = parseNumber<unsigned>(text, 16);
  if (!number || *number >= kMaxProbes) return std::nullopt;
  return number;
}

namespace {

Breach breachOf(const LinkContract& contract, const FrameView& frame) {
  const Breach breach = orrery::judge(&contract, frame).breach;
  return breach != Breach::none && contract.allowed.empty() ? Breach::noLink : breach;
}

}  // namespace

bool Audit::judge(std::size_t index, const FrameView& seen, bool outgoing, std::int64_t time,
                  Nanoseconds now) {
  const WatchedLink& link = links_[index];
  LinkReport& report = reports_[index];
  FrameView frame = seen;
  frame.way = outgoing == link.farEnd ? Way::in : Way::out;
  if (frame.way == Way::in) {
    report.strays += orrery::judge(&link.contract, frame).stray ? 1 : 0;
    return false;
  }
  Breach breach = breachOf(link.contract, frame);
  ++report.frames;
  const auto probe = probeIn(frame);
  if (probe) passed_[index].set(*probe);
  if (probe && breach == Breach::none && !link.probesMayPass) breach = Breach::probe;
  if (breach == Breach::none) return false;
  if (patience_ == Nanoseconds::zero()) return count(index, frame, breach, time, probe);
  if (excused(index, frame, now)) return false;
  if (held_.size() == kMaxHeld) countOldest(overflowed_);
  const auto kept = frame.bytes.first(std::min(frame.bytes.size(), kKeptBytes));
  held_.push_back(
      {index, {kept.begin(), kept.end()}, frame.length, frame.tagged, breach, time, now});
  return false;
}

bool Audit::count(std::size_t index, const FrameView& frame, Breach breach, std::int64_t time,
                  std::optional<unsigned> probe) {
  LinkReport& report = reports_[index];
  auto at = std::find_if(report.violations.begin(), report.violations.end(),
                         [&](const Violation& v) { return v.breach == breach; });
  const bool first = at == report.violations.end();
  if (first) {
    const auto kept = frame.bytes.first(std::min(frame.bytes.size(), kKeptBytes));
    const bool ethernet = links_[index].contract.ethernet;
    at = report.violations.insert(at, {.breach = breach,
                                       .firstTime = time,
                                       .first = describeFrame(frame, ethernet),
                                       .bytes = {kept.begin(), kept.end()}});
  }
  ++at->count;
  if (probe && std::find(at->probes.begin(), at->probes.end(), *probe) == at->probes.end())
    at->probes.push_back(*probe);
  return first;
}

bool Audit::excused(std::size_t link, const FrameView& frame, Nanoseconds now) const {
  return std::any_of(former_[link].begin(), former_[link].end(), [&](const Former& former) {
    return former.until > now && breachOf(former.contract, frame) == Breach::none;
  });
}

void Audit::setContract(std::size_t link, LinkContract contract, Nanoseconds now) {
  if (contract == links_[link].contract) return;
  std::erase_if(former_[link], [&](const Former& former) { return former.until <= now; });
  former_[link].push_back({std::move(links_[link].contract), now + patience_});
  links_[link].contract = std::move(contract);
  std::erase_if(held_, [&](const Held& held) {
    const FrameView frame{Way::out, held.bytes, held.length, held.tagged};
    return held.link == link && breachOf(links_[link].contract, frame) == Breach::none;
  });
}

void Audit::countOldest(std::vector<FirstOfSort>& firsts) {
  const Held held = std::move(held_.front());
  held_.pop_front();
  const FrameView frame{Way::out, held.bytes, held.length, held.tagged};
  if (count(held.link, frame, held.breach, held.time, probeIn(frame)))
    firsts.push_back({held.link, reports_[held.link].violations.size() - 1});
}

std::vector<Audit::FirstOfSort> Audit::settle(Nanoseconds now) {
  std::vector<FirstOfSort> firsts = std::exchange(overflowed_, {});
  while (!held_.empty() && held_.front().since + patience_ <= now) countOldest(firsts);
  return firsts;
}

std::vector<Audit::FirstOfSort> Audit::settleAll() {
  std::vector<FirstOfSort> firsts = std::exchange(overflowed_, {});
  while (!held_.empty()) countOldest(firsts);
  return firsts;
}

void Audit::lost(std::size_t link, std::uint64_t frames) {
  reports_[link].lost += frames;
}

std::vector<LinkReport> Audit::report() const {
  std::vector<LinkReport> reports = reports_;
  for (std::size_t i = 0; i < reports.size(); ++i)
    for (unsigned probe = 0; probe < kMaxProbes; ++probe)
      if (passed_[i].test(probe)) reports[i].passed.push_back(probe);
  return reports;
}

std::vector<std::uint8_t> markerFrame(const std::string& session, std::uint8_t number) {
  const Mac to{{2, 0, 0, 0, 0, 1}}, from{{2, 0, 0, 0, 0, 2}};  // nobody's: locally administered
  frame::Bytes payload(session.begin(), session.end());
  payload.push_back(number);
  payload.resize(46);  // the least that Ethernet carries
  return frame::ethernet(to, from, kMarkerType, payload);
}

std::optional<std::uint8_t> markerIn(const std::string& session, const FrameView& frame) {
  constexpr std::size_t kHeader = 14;
  const auto& b = frame.bytes;
  if (session.empty() || b.size() < kHeader + session.size() + 1) return std::nullopt;
  if (b[12] != kMarkerType >> 8 || b[13] != (kMarkerType & 0xff)) return std::nullopt;
  if (!std::equal(session.begin(), session.end(), b.begin() + kHeader)) return std::nullopt;
  return b[kHeader + session.size()];
}

}  // namespace orrery::audit
