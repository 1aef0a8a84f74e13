// The auditor's judgement: frames of several links against the contract, counted, with evidence
// kept. Pure: who reads the rings is ring.h, who runs it confined is process.h.
#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "routers/contract/judge.h"

namespace orrery::audit {

inline constexpr std::size_t kKeptBytes = 128;  // of the first frame of each sort
inline constexpr std::size_t kMaxProbes = 1024;

// Every probe carries the session's word and its own number, so that its packet is known wherever
// it appears: 14 bytes of session, four hexadecimal digits.
inline constexpr std::size_t kSessionBytes = 14;
std::string probeMark(const std::string& session, unsigned number);

struct WatchedLink {
  std::string name;            // for people: "uplink of galaxy0"
  LinkContract contract;       // closedLink(): nothing may leave
  bool farEnd = false;         // watched at the other end: what comes in there has left us
  bool probesMayPass = false;  // a direct router's clients leave here; so does a tunnel's
  friend bool operator==(const WatchedLink&, const WatchedLink&) = default;
};

// All violations of one breach on one link.
struct Violation {
  Breach breach = Breach::none;
  std::uint64_t count = 0;
  std::int64_t firstTime = 0;       // ns since 1970
  std::string first;                // described
  std::vector<std::uint8_t> bytes;  // of the first, at most kKeptBytes
  std::vector<unsigned> probes;     // whose marks they carried, each once
  friend bool operator==(const Violation&, const Violation&) = default;
};

struct LinkReport {
  std::string name;
  std::uint64_t frames = 0;  // that left the router
  std::uint64_t strays = 0;  // that came in unasked: no leak
  std::uint64_t lost = 0;    // by the kernel: if not 0, nothing is proven
  std::vector<Violation> violations;
  std::vector<unsigned> passed;  // numbers of the probes that left here, allowed or not
  friend bool operator==(const LinkReport&, const LinkReport&) = default;
};

// Contracts change while a link is watched: with a lease, a tunnel's address, a state. A frame and
// the news of the change come by different ways, in any order. So with a patience, a frame is a
// violation only if no contract allows it that was in force within that time before or after it: a
// breach is held back so long, and judged again when the contract changes. Every frame is judged;
// without a patience at once.
class Audit {
 public:
  using Nanoseconds = std::chrono::nanoseconds;  // of a clock that only goes forwards
  Audit(std::vector<WatchedLink> links, std::string session,
        Nanoseconds patience = Nanoseconds::zero());

  // `outgoing`: sent by the end that is watched. Returns true if it was the first violation of its
  // sort on that link. `link` is an index into the links given.
  bool judge(std::size_t link, const FrameView& frame, bool outgoing, std::int64_t time,
             Nanoseconds now = Nanoseconds::zero());
  // In force from now on; the one before still excuses for a while.
  void setContract(std::size_t link, LinkContract contract, Nanoseconds now);
  // What was held back long enough, or all of it, counts. Returns the violations that were the
  // first of their sort: link, and place in its report.
  struct FirstOfSort {
    std::size_t link = 0;
    std::size_t violation = 0;
    friend bool operator==(const FirstOfSort&, const FirstOfSort&) = default;
  };
  std::vector<FirstOfSort> settle(Nanoseconds now);
  std::vector<FirstOfSort> settleAll();
  bool holdsBack() const { return !held_.empty(); }
  void lost(std::size_t link, std::uint64_t frames);
  const LinkReport& link(std::size_t index) const { return reports_[index]; }
  std::vector<LinkReport> report() const;

 private:
  struct Held {
    std::size_t link = 0;
    std::vector<std::uint8_t> bytes;
    std::size_t length = 0;
    bool tagged = false;
    Breach breach = Breach::none;
    std::int64_t time = 0;
    Nanoseconds since{};
  };
  static constexpr std::size_t kMaxHeld = 4096;  // beyond it the oldest counts at once

  std::optional<unsigned> probeIn(const FrameView& frame) const;
  bool excused(std::size_t link, const FrameView& frame, Nanoseconds now) const;
  bool count(std::size_t link, const FrameView& frame, Breach breach, std::int64_t time,
             std::optional<unsigned> probe);
  void countOldest(std::vector<FirstOfSort>& firsts);

  struct Former {
    LinkContract contract;
    Nanoseconds until{};
  };
  std::vector<WatchedLink> links_;
  std::vector<std::vector<Former>> former_;  // of each link, the newest last
  std::deque<Held> held_;
  std::vector<FirstOfSort> overflowed_;  // told by the next settle()
  Nanoseconds patience_;
  std::vector<LinkReport> reports_;
  std::vector<std::bitset<kMaxProbes>> passed_;
  std::string session_;
};

// The frame by which someone says "all that I sent before is behind me": local experimental
// EtherType, the session, a number. Never a violation; only at far ends, where it stays on a veth.
inline constexpr std::uint16_t kMarkerType = 0x88b5;
std::vector<std::uint8_t> markerFrame(const std::string& session, std::uint8_t number);
std::optional<std::uint8_t> markerIn(const std::string& session, const FrameView& frame);

}  // namespace orrery::audit
