#include "netns/netlink/rtnl.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "netns/namespace/netns.h"

namespace orrery {

Result<Rtnl> Rtnl::open(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(NlSocket socket, NlSocket::open(netns, NETLINK_ROUTE));
  ORRERY_TRY_ASSIGN(NetnsFd copy, duplicate(netns));
  return Rtnl(std::move(socket), std::move(copy));
}

Status Rtnl::dump(const NlMessage& message, const std::function<void()>& restart,
                  const NlSocket::Each& each) {
  constexpr int kTries = 5;  // a namespace that never rests for a dump's millisecond is an error
  Status outcome;
  for (int i = 0; i < kTries; ++i) {
    if (i > 0) restart();
    outcome = socket_.dump(message, each);
    if (outcome || outcome.error().err != EINTR) return outcome;
  }
  return outcome;
}

Result<int> Rtnl::indexOf(const IfName& name) const {
  // Any socket answers this for the namespace that it was born in (netdevice(7)).
  ifreq request{};
  name.str().copy(request.ifr_name, IFNAMSIZ - 1);
  if (::ioctl(socket_.fd(), SIOCGIFINDEX, &request) != 0)
    return sysError(errno, "find interface '{}'", name.str());
  return request.ifr_ifindex;
}

}  // namespace orrery
