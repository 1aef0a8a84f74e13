// NETLINK_ROUTE in one namespace: the socket that links, addresses, routes, rules and neighbours
// are asked for and changed by, and a monitor that tells what changed.
//
// Errors carry the request's label and the kernel's own explanation:
// "add address 10.0.0.1/24 to 'br0': Error: ipv4: Address already assigned: File exists", with
// Error::err = EEXIST. Changing anything needs CAP_NET_ADMIN over the namespace; reading nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/netlink/socket.h"
#include "sandbox/base/fd.h"

namespace orrery {

class Rtnl {
 public:
  static Result<Rtnl> open(const NetnsFd& netns);

  Status request(NlMessage message) { return socket_.request(std::move(message)); }
  Status requestAll(std::vector<NlMessage> messages) {
    return socket_.requestAll(std::move(messages));
  }
  // Asked again, up to a few times, when a change interrupted it; `restart` is called before each
  // repetition so that the caller can forget what it has.
  Status dump(const NlMessage& message, const std::function<void()>& restart,
              const NlSocket::Each& each);
  Status query(NlMessage message, const NlSocket::Each& each) {
    return socket_.query(std::move(message), each);
  }

  // The index of an interface: one ioctl(2), no message. Err ENODEV if there is none.
  Result<int> indexOf(const IfName& name) const;

  const NetnsFd& netns() const { return netns_; }
  const NlCounters& counters() const { return socket_.counters(); }

 private:
  Rtnl(NlSocket socket, NetnsFd netns) : socket_(std::move(socket)), netns_(std::move(netns)) {}
  NlSocket socket_;
  NetnsFd netns_;
};

// --- events
// ---------------------------------------------------------------------------------------

struct LinkChanged {  // also: appeared
  int index = 0;
  std::string name;
  bool up = false;       // IFF_UP
  bool carrier = false;  // IFF_LOWER_UP
  int master = 0;        // 0: none
  friend bool operator==(const LinkChanged&, const LinkChanged&) = default;
};
struct LinkRemoved {  // deleted, or moved to another namespace
  int index = 0;
  std::string name;
  friend bool operator==(const LinkRemoved&, const LinkRemoved&) = default;
};
struct AddressAdded {
  int index = 0;
  Prefix4 address;
  friend bool operator==(const AddressAdded&, const AddressAdded&) = default;
};
struct AddressRemoved {
  int index = 0;
  Prefix4 address;
  friend bool operator==(const AddressRemoved&, const AddressRemoved&) = default;
};
struct RouteChanged {
  bool removed = false;
  Prefix4 destination;
  std::optional<Ipv4> gateway;
  int index = 0;  // 0: none
  std::uint32_t table = 0;
  friend bool operator==(const RouteChanged&, const RouteChanged&) = default;
};
struct NeighbourChanged {
  bool removed = false;
  int index = 0;
  Ipv4 address;
  std::optional<Mac> mac;
  std::uint16_t state = 0;  // NUD_*
  friend bool operator==(const NeighbourChanged&, const NeighbourChanged&) = default;
};
struct Overflow {  // messages were lost: read everything again
  friend bool operator==(const Overflow&, const Overflow&) = default;
};
using RtnlEvent = std::variant<LinkChanged, LinkRemoved, AddressAdded, AddressRemoved, RouteChanged,
                               NeighbourChanged, Overflow>;

// The events of one datagram; messages of other types and families are left out. Err EBADMSG.
Result<std::vector<RtnlEvent>> parseEvents(Bytes datagram);

// Subscribed to links, IPv4 addresses, IPv4 routes and neighbours. To miss nothing: open, then read
// the state, then the events.
class RtnlMonitor {
 public:
  static Result<RtnlMonitor> open(const NetnsFd& netns);
  // To links alone: nothing wakes its reader when neighbours come and go.
  static Result<RtnlMonitor> openForLinks(const NetnsFd& netns);
  int fd() const { return socket_.fd(); }  // poll(2) for reading
  // All that is there, without waiting.
  Result<std::vector<RtnlEvent>> read();
  // Sleeps until there is something to read, told or not (what a bridge tells of its ports wakes,
  // and is no event). False: nothing came until then.
  Result<bool> await(std::chrono::steady_clock::time_point deadline) const;

 private:
  explicit RtnlMonitor(NlSocket socket) : socket_(std::move(socket)) {}
  NlSocket socket_;
};

// Changes come in bursts. Reads, and throws away, what all of them tell, until none has told
// anything for `quiet`, or for `longest` at most.
Status awaitQuiet(std::vector<RtnlMonitor>& monitors, std::chrono::milliseconds quiet,
                  std::chrono::milliseconds longest);

}  // namespace orrery
