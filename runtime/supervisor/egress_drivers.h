// The drivers, and what several of them share.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "netns/netlink/rtnl.h"
#include "runtime/supervisor/egress.h"

namespace orrery {

std::unique_ptr<Egress> makeDirectEgress(EgressHost& host);
std::unique_ptr<Egress> makeOpenVpnEgress(EgressHost& host, const OpenVpnEgress& egress);
std::unique_ptr<Egress> makeWireGuardEgress(EgressHost& host, const WireGuardEgress& egress);
std::unique_ptr<Egress> makeTorEgress(EgressHost& host);
std::unique_ptr<Egress> makeSocks5Egress(EgressHost& host, const Socks5Egress& egress);

// Follows one link of one namespace by rtnetlink's events.
class LinkWatch {
 public:
  struct Link {
    bool present = false;
    bool up = false;
    bool carrier = false;  // and up
    friend bool operator==(const Link&, const Link&) = default;
  };
  // Calls back at once with what is there, then at each change.
  Status start(event_base* base, const NetnsFd& netns, const IfName& name,
               std::function<void(const Link&)> onChange);

 private:
  void readable();
  Status look();

  IfName name_;
  std::function<void(const Link&)> onChange_;
  std::optional<Rtnl> rtnl_;
  std::optional<RtnlMonitor> monitor_;
  ReadWatch watch_;
  std::optional<Link> last_;
};

// The rung "carrier" of a router whose uplink is another router's LAN. `onCarrier` hears of each
// change, and at once of what is there.
Status watchUplink(EgressHost& host, LinkWatch& watch, std::function<void(bool)> onCarrier);

// Leaves this address, or none, on an interface. One that is there already stays as it is: taking
// it away would end the flows that are masqueraded behind it.
Status keepOnlyAddress(Rtnl& rtnl, const IfName& name, const std::optional<Prefix4>& address);

struct TunnelDevice {
  IfName name;
  Prefix4 address;
  std::uint16_t mtu = 1420;  // bytes
};
// The way out of a LAN namespace behind a tunnel: a default route by the tunnel's device, there as
// long as the tunnel is up and the uplink has carrier. Whenever it goes, flows are cut, and what
// waits in the device's queue is thrown away: the next tunnel would send it.
class TunnelPath {
 public:
  // `onLost`: the device was deleted or set down by somebody else. The way out is shut by then, and
  // the driver has to make another.
  TunnelPath(EgressHost& host, IfName device, std::function<void()> onLost)
      : host_(host), device_(std::move(device)), onLost_(std::move(onLost)) {}
  // Before a new device: shuts the way out and removes what there is, in whichever namespace.
  Status clear(const std::string& why);
  // Moves a device that is configured in the egress namespace into the LAN namespace: MTU, address,
  // up. What was there of it before is replaced.
  Status bringIn(const TunnelDevice& device);
  Status tunnelUp();
  void tunnelDown(const std::string& why);
  void carrier(bool there);

 private:
  Status open();
  void shut(const std::string& why);
  Status watchDevice(const NetnsFd& lan);
  void deviceChanged(const LinkWatch::Link& link);

  EgressHost& host_;
  IfName device_;
  std::function<void()> onLost_;
  std::optional<LinkWatch> watch_;
  bool inside_ = false;  // the device was brought in, and nobody has taken it away
  bool up_ = false;
  bool carrier_ = false;
};

}  // namespace orrery
