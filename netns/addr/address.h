// IPv4 addresses of interfaces. IPv6 is closed in every namespace that we make.
#pragma once

#include <vector>

#include "netns/addr/ip.h"
#include "netns/netlink/rtnl.h"

namespace orrery {

struct Address {
  int index = 0;  // of the interface
  Prefix4 address;
  std::optional<Ipv4> peer;  // point-to-point: the far end
  std::uint8_t scope = 0;    // RT_SCOPE_*
  bool noPrefixRoute = false;
  friend bool operator==(const Address&, const Address&) = default;
};
Result<Address> parseAddress(Bytes payload);  // of an RTM_NEWADDR of AF_INET; err EBADMSG

struct AddressOptions {
  bool noPrefixRoute = false;  // IFA_F_NOPREFIXROUTE: the kernel adds no subnet route
  std::optional<Ipv4> peer{};  // point-to-point
  // RT_SCOPE_LINK: on another link the kernel takes it for no packet's source, not even where that
  // one has no address (inet_select_addr(), net/ipv4/devinet.c; masquerade asks it).
  std::uint8_t scope = 0;
};
// Err EEXIST if the interface has it, ENODEV if there is no such interface.
Status addAddress(Rtnl& rtnl, const IfName& interface, const Prefix4& address,
                  const AddressOptions& options = {});
Status deleteAddress(Rtnl& rtnl, const IfName& interface,
                     const Prefix4& address);            // absent is fine
Result<std::vector<Address>> listAddresses(Rtnl& rtnl);  // of all interfaces
Result<std::vector<Address>> listAddresses(Rtnl& rtnl, const IfName& interface);

}  // namespace orrery
