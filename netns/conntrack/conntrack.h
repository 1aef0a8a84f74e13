// Connection tracking of one namespace by ctnetlink (linux/netfilter/nfnetlink_conntrack.h): what
// flows it remembers, and to forget them. After an egress is lost, or is another one, a remembered
// flow would go on by the old translation.
//
// All calls need CAP_NET_ADMIN in the user namespace that owns the network namespace, and a kernel
// with nf_conntrack_netlink (asking loads it where it is a module).
#pragma once

#include <cstdint>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/netlink/socket.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// As the first packet had it, before any translation. Ports are in host order, 0 where the protocol
// has none.
struct TrackedFlow {
  std::uint8_t protocol = 0;  // IANA
  Ipv4 source, destination;
  std::uint16_t sourcePort = 0, destinationPort = 0;
  friend auto operator<=>(const TrackedFlow&, const TrackedFlow&) = default;
};
// Of an IPCTNL_MSG_CT_NEW or _DELETE. Err EBADMSG; EAFNOSUPPORT if it is not of IPv4.
Result<TrackedFlow> parseTrackedFlow(Bytes payload);

class Conntrack {
 public:
  static Result<Conntrack> open(const NetnsFd& netns);

  Result<std::vector<TrackedFlow>> list();  // those of IPv4
  Status forgetAll();                       // of every family

 private:
  explicit Conntrack(NlSocket socket) : socket_(std::move(socket)) {}
  NlSocket socket_;
};

}  // namespace orrery
