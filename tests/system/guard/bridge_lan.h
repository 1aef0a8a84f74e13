// A router's LAN with its ruleset in force, and two clients on it that speak in raw frames.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "netns/nft/nft.h"
#include "routers/contract/frame_builder.h"
#include "routers/firewall/firewall.h"
#include "tests/system/netns_fixture.h"

namespace orrery::guardtest {

using frame::Bytes;

// Every frame that a link receives, as it is on the wire (an 802.1Q tag put back).
class Wire {
 public:
  Wire(const NetnsFd& netns, const std::string& link);
  void send(const Bytes& frame);
  // All that came until the frame `last` did; fails the test if that does not come.
  std::vector<Bytes> receiveUntil(const Bytes& last);

 private:
  UniqueFd fd_;
};

// Whose MAC is the one of that address.
PortOwner ownerOf(const std::string& port, const std::string& address);

struct Client {
  test::Place place;
  PortOwner owner;

  // A port of the bridge, guarded, and this client behind it.
  Client(test::Place& router, NftSocket& rules, const RouterSpec& spec, const std::string& port,
         const std::string& address);
  // The same for one whom the guard has been told of.
  Client(test::Place& router, const RouterSpec& spec, PortOwner owner);
  Wire wire() const { return Wire(place.netns, "eth0"); }
};

// Keeps the test on one processor: the kernel deals in order with what one sends through veth.
struct OneProcessor {
  OneProcessor();
};

struct Lan {
  OneProcessor here;
  RouterSpec spec;
  test::Place router;
  NftSocket rules;
  Client hostile, victim;

  explicit Lan(bool clientsTalk, std::vector<FilterSpec> filters = {});
  // By the comment of its rule, in the bridge's table; "invalid": what connection tracking refused.
  std::map<std::string, std::uint64_t> counts();
  std::map<std::string, std::uint64_t> allCounts();  // of the other tables as well
  // Waits until a count is at least this; false after a while.
  bool reaches(const std::string& kind, std::uint64_t count);
  // The addresses that the bridge has learned, with the index of their port.
  std::set<std::pair<int, std::string>> learned();
  // Waits until the bridge has learned this address at that port; false after a while.
  bool learns(const std::string& port, const Mac& mac);
};

}  // namespace orrery::guardtest
