// Makes clients speak whose TCP connections a router has forgotten.
//
// A client that only listens would never be told: it waits for bytes that cannot come. So each gets
// one segment in its server's name, an acknowledgement with numbers that are out of every window.
// TCP answers that by an acknowledgement of its own, with its true numbers (RFC 9293, section
// 3.10.7.4), and the answer meets the router's rule for segments that belong to no flow: a reset
// that the client believes. The segment itself says nothing and changes nothing in any state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "netns/conntrack/conntrack.h"

namespace orrery {

// IPv4 and TCP heads without options. The kernel fills in the identification and the first head's
// checksum (raw(7), IP_HDRINCL).
using NudgeSegment = std::array<std::uint8_t, 40>;
NudgeSegment nudgeSegment(const TrackedFlow& flow);

// To the sources of those that are TCP. The ruleset must let such a segment out, and not track it.
// Needs CAP_NET_RAW over the namespace. Returns how many were sent: one that cannot be is left out.
Result<std::size_t> nudge(const NetnsFd& netns, const std::vector<TrackedFlow>& flows);

}  // namespace orrery
