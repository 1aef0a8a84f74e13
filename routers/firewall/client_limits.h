// The rules that hold each client of a LAN to its share (ClientLimits), each for the place in a
// chain that its name says. Private to routers/firewall.
#pragma once

#include <vector>

#include "netns/nft/ruleset.h"
#include "routers/firewall/firewall.h"
#include "routers/spec/router_spec.h"

namespace orrery::firewall {

// Where the router itself is addressed: before any rule that lets established flows in, as a
// resolver's client may keep its port.
std::vector<nft::Rule> localLimits(
    const RouterSpec& spec);  // all of the next three, and DNS by TCP
std::vector<nft::Rule> dhcpLimits(const RouterSpec& spec);
std::vector<nft::Rule> dnsLimits(const RouterSpec& spec);
std::vector<nft::Rule> pingLimits(const RouterSpec& spec);
// Before the rule that lets new connections pass, or hands those of TCP to the proxy.
std::vector<nft::Rule> flowLimits(const RouterSpec& spec);
std::vector<nft::Rule> proxiedFlowLimits(const RouterSpec& spec);
// Before the rule that lets established flows pass; none but in front of a tunnel.
std::vector<nft::Rule> tunnelLimits(const RouterSpec& spec);
// In the bridge: before ARP is let pass; before anything is (where clients talk).
std::vector<nft::Rule> frameLimits(const RouterSpec& spec);
std::vector<nft::Rule> broadcastLimits(const RouterSpec& spec);

// The sets that the table's rules use for this, and in family ip those that limitEntries() fills.
void addLimitSets(nft::Table& table);
std::vector<nft::SetElement> limitEntries(const PortOwner& owner);

}  // namespace orrery::firewall
