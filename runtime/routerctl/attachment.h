// Clients on a router's LAN: namespaces that get one end of a veth pair, the other end being a port
// of the router's bridge; and virtual machines, whose tap becomes such a port itself.
//
// A tap is taken out of the namespace that it was made in, which is the host's, while the machine
// has it open: it goes on working by its descriptor (drivers/net/tun.c keeps the two together), and
// the host is left without any link that its own stack could use, or that a packet could take to
// it. The other ways (a bridge or a veth of the host, macvtap) leave one that only settings keep
// shut.
//
// An attachment is a file in <runDir>/attachments and a reservation of its address for dnsmasq,
// both made before the link and removed after it; so what a crash leaves is found and taken back by
// `detach`, `gc` and the next `attach`. Needs root.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netns/addr/ip.h"
#include "routers/spec/router_spec.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

struct AttachOptions {
  IfName interface;             // in the client
  std::optional<Ipv4> address;  // none: a free one is chosen
  bool configure = true;        // set address, route and link up; else the client asks by DHCP and
                                // gets the same address
  std::string root;             // "" outside of tests
};

struct TapOptions {
  IfName tap;                   // in our own namespace, open in a virtual machine
  std::optional<Mac> mac;       // of the machine's NIC; none: that which belongs to the address
  std::optional<Ipv4> address;  // which it gets by DHCP, or is configured with; none: a free one
  std::string root;             // "" outside of tests
};

struct Attachment {
  IfName port;       // on the router's bridge
  IfName interface;  // in the client; of a tap: what it was called where it came from
  Mac mac;           // of the client
  Ipv4 address;
  std::uint64_t clientInode = 0;  // of the client's namespace while it lives; 0: a tap
  bool tap = false;
  friend bool operator==(const Attachment&, const Attachment&) = default;
};

Result<Attachment> attachClient(const RouterSpec& router, const NetnsFd& client,
                                const AttachOptions& options);
// Err ENODEV if there is no such link; others say what it is instead of a tap that nobody else
// uses. A tap that no program has open is refused too: once moved, none could open it.
Result<Attachment> attachTap(const RouterSpec& router, const TapOptions& options);
// Removes port, reservation and record; what is gone already is fine. A tap is given back to our
// own namespace, down and under its name, and ends if that is taken.
Status detachClient(const RouterId& router, const Attachment& attachment,
                    const std::string& root = "");
// Detaches clients whose namespace has ended and with it their port (`run` was killed). Returns
// them.
Result<std::vector<Attachment>> detachLost(const RouterId& router, const std::string& root = "");
// Files of attachments that were being written when their command was killed. Returns their paths.
Result<std::vector<std::string>> removeUnfinished(const RouterId& router,
                                                  const std::string& root = "");
Result<std::vector<Attachment>> listAttachments(const RouterId& router,
                                                const std::string& root = "");

// The address for a new client, from the end of the subnet downwards. Pure. `taken` in any order;
// the router's own is taken by itself.
enum class AddressChoice {
  outsideRangeFirst,  // configured by us: the DHCP range is left to those who ask, if there is room
  insideRange,        // the client asks by DHCP, and is entitled to an address of the range
};
Result<Ipv4> chooseClientAddress(const LanSpec& lan, const std::vector<Ipv4>& taken,
                                 AddressChoice choice = AddressChoice::outsideRangeFirst);
// Nothing if a client may have this address. Pure.
Status checkClientAddress(const LanSpec& lan, Ipv4 address, const std::vector<Ipv4>& taken);
// "c0a010107" for 10.1.1.7: one for each address of the LAN.
IfName clientPortName(Ipv4 address);

std::string toText(const Attachment& attachment);  // JSON
Result<Attachment> parseAttachment(std::string_view text);

}  // namespace orrery
