// Netlink messages as the kernel, or a library's or kernel's defect, may send them. The first byte
// says which parser gets the rest: the payload after nlmsghdr, or a whole datagram.
#include <cstddef>
#include <cstdint>
#include <span>

#include "netns/addr/address.h"
#include "netns/conntrack/forgotten.h"
#include "netns/link/link.h"
#include "netns/neigh/neigh.h"
#include "netns/netlink/message.h"
#include "netns/netlink/rtnl.h"
#include "netns/observe/sockets.h"
#include "netns/route/route.h"
#include "netns/wireguard/wireguard.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery;
  if (size == 0) return 0;
  const Bytes payload(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  switch (data[0] % 10) {
    case 0:
      (void)parseLink(payload);
      break;
    case 1:
      (void)parseAddress(payload);
      break;
    case 2:
      (void)parseRoute(payload);
      break;
    case 3:
      (void)parseRule(payload);
      break;
    case 4:
      (void)parseNeighbour(payload);
      break;
    case 5:
      (void)parseSocket(SocketProtocol::tcp, payload);
      break;
    case 6:
      (void)parseWireGuard(payload);
      break;
    case 7:
      (void)parseEvents(payload);
      break;
    case 9:
      (void)parseForgotten(payload);
      break;
    default:
      (void)splitMessages(payload);
  }
  return 0;
}
