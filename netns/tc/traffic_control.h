// What acts on a namespace's frames beside its nftables rules: queueing disciplines and their
// filters (tc(8)), and BPF programs on links and on the namespace itself. Read only: we make none
// of it.
//
// A program on a link by XDP (Linux 4.8) shows in rtnetlink; by TCX (6.6) only bpf(2) tells of it,
// for which CAP_BPF and CAP_NET_ADMIN in the first user namespace are needed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netns/netlink/rtnl.h"

namespace orrery {

struct Qdisc {
  int index = 0;  // of the link
  std::string kind;
  std::uint32_t handle = 0, parent = 0;  // TC_H_*
  friend bool operator==(const Qdisc&, const Qdisc&) = default;
};
Result<Qdisc> parseQdisc(Bytes payload);  // of an RTM_NEWQDISC; err EBADMSG

struct TcFilter {
  int index = 0;
  std::string kind;
  std::uint32_t parent = 0;
  std::uint16_t priority = 0;
  friend bool operator==(const TcFilter&, const TcFilter&) = default;
};
Result<TcFilter> parseTcFilter(Bytes payload);  // of an RTM_NEWTFILTER; err EBADMSG

struct AttachedBpf {
  int index = 0;     // of the link; 0: the namespace
  std::string hook;  // "XDP", "tcx ingress", "socket lookup"
  friend bool operator==(const AttachedBpf&, const AttachedBpf&) = default;
};

struct TrafficControl {
  std::vector<Qdisc> qdiscs;  // those of a link that were set up for none are not listed
  std::vector<TcFilter> filters;
  std::vector<AttachedBpf> programs;
  friend bool operator==(const TrafficControl&, const TrafficControl&) = default;
};
// Err EPERM where it may not be known whether there are programs.
Result<TrafficControl> observeTrafficControl(Rtnl& rtnl);

// True if it only queues: what it drops, it drops for want of room, and frames go where they went.
bool isPlainQueue(const Qdisc& qdisc);

}  // namespace orrery
