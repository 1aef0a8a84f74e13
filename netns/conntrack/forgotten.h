// TCP connections that connection tracking forgets while they are open.
//
// Not all are forgotten by us: when a device goes down or loses its address, the kernel by itself
// forgets what was masqueraded behind it (net/netfilter/nf_nat_masquerade.c), a moment after it has
// told of the device, or before. Whoever wants to tell the clients has to hear of each.
#pragma once

#include <vector>

#include "netns/conntrack/conntrack.h"

namespace orrery {

class ForgottenFlows {
 public:
  // From now on. Needs CAP_NET_ADMIN as conntrack.h does. The kernel leaves out all but established
  // TCP, so connections that come to their ends wake nobody; its message has the state since 5.10.
  static Result<ForgottenFlows> watch(const NetnsFd& netns);

  int fd() const { return socket_.fd(); }  // poll(2) for reading
  // All that is there, without waiting. Where there were too many for the socket's buffer (ENOBUFS)
  // the rest is missing.
  Result<std::vector<TrackedFlow>> read();

 private:
  explicit ForgottenFlows(NlSocket socket) : socket_(std::move(socket)) {}
  NlSocket socket_;
};

// Of the messages of one datagram those that say that a flow is gone, IPv4 only. Err EBADMSG.
Result<std::vector<TrackedFlow>> parseForgotten(Bytes datagram);

}  // namespace orrery
