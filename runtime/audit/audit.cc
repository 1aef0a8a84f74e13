#include "runtime/audit/audit.h"

#include <algorithm>

#include "routers/contract/frame_builder.h"
#include "sandbox/base/strings.h"

namespace orrery::audit {
namespace {

constexpr std::size_t kNumberDigits = 4;

}  // namespace

std::string probeMark(const std::string& session, unsigned number) {
  return fmt::format("{}{:04x}", session, number);
}

Audit::Audit(std::vector<WatchedLink> links, std::string session)
    : links_(std::move(links)), passed_(links_.size()), session_(std::move(session)) {
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

bool Audit::judge(std::size_t index, const FrameView& seen, bool outgoing, std::int64_t time) {
  const WatchedLink& link = links_[index];
  LinkReport& report = reports_[index];
  FrameView frame = seen;
  frame.way = outgoing == link.farEnd ? Way::in : Way::out;
  Verdict verdict = orrery::judge(&link.contract, frame);
  if (link.contract.allowed.empty() && verdict.breach != Breach::none)
    verdict.breach = Breach::noLink;
  if (frame.way == Way::in) {
    report.strays += verdict.stray ? 1 : 0;
    return false;
  }
  ++report.frames;
  const auto probe = probeIn(frame);
  if (probe) passed_[index].set(*probe);
  if (probe && verdict.breach == Breach::none && !link.probesMayPass)
    verdict.breach = Breach::probe;
  if (verdict.breach == Breach::none) return false;

  auto at = std::find_if(report.violations.begin(), report.violations.end(),
                         [&](const Violation& v) { return v.breach == verdict.breach; });
  const bool first = at == report.violations.end();
  if (first) {
    const auto kept = frame.bytes.first(std::min(frame.bytes.size(), kKeptBytes));
    at = report.violations.insert(at, {.breach = verdict.breach,
                                       .firstTime = time,
                                       .first = describeFrame(frame, link.contract.ethernet),
                                       .bytes = {kept.begin(), kept.end()}});
  }
  ++at->count;
  if (probe && std::find(at->probes.begin(), at->probes.end(), *probe) == at->probes.end())
    at->probes.push_back(*probe);
  return first;
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
