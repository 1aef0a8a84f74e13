#include "netns/tun/tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr const char* kTunDevice = "/dev/net/tun";

ifreq requestFor(const IfName& name) {
  ifreq request{};
  name.str().copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

Status setMtu(const IfName& name, unsigned mtu) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return sysError(errno, "open a socket for tun '{}'", name.str());
  ifreq request = requestFor(name);
  request.ifr_mtu = static_cast<int>(mtu);
  if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0)
    return sysError(errno, "set the MTU of tun '{}' to {}", name.str(), mtu);
  return {};
}

// In the namespace. Persistence comes last: whatever fails before leaves no device.
Result<UniqueFd> createHere(const IfName& name, bool persistent, std::optional<uid_t> owner,
                            unsigned mtu, TunHeader header) {
  ORRERY_TRY_ASSIGN(UniqueFd fd, openFile(kTunDevice, O_RDWR));
  ifreq request = requestFor(name);
  // TUN_EXCL: an existing persistent device would otherwise be joined.
  const int headerFlag = header == TunHeader::none ? IFF_NO_PI : 0;
  request.ifr_flags = static_cast<short>(IFF_TUN | headerFlag | IFF_TUN_EXCL);
  if (::ioctl(fd.get(), TUNSETIFF, &request) != 0)
    return sysError(errno, "make tun '{}'", name.str());
  if (owner && ::ioctl(fd.get(), TUNSETOWNER, static_cast<unsigned long>(*owner)) != 0)
    return sysError(errno, "give tun '{}' to user {}", name.str(), *owner);
  ORRERY_TRY(setMtu(name, mtu));
  if (persistent && ::ioctl(fd.get(), TUNSETPERSIST, 1UL) != 0)
    return sysError(errno, "make tun '{}' persistent", name.str());
  return fd;
}

}  // namespace

Result<UniqueFd> createTun(const NetnsFd& netns, const IfName& name, bool persistent,
                           std::optional<uid_t> owner, unsigned mtu, TunHeader header) {
  return inNetns(netns, [&] { return createHere(name, persistent, owner, mtu, header); });
}

Status deleteTun(const NetnsFd& netns, const IfName& name) {
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(netns));
  ORRERY_TRY_ASSIGN(const auto link, findLink(rtnl, name));
  if (!link) return {};
  if (link->kind != "tun") return sysError(EINVAL, "delete tun '{}': it is no tun", name.str());
  return deleteLink(rtnl, name);
}

}  // namespace orrery
