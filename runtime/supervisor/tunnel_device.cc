#include <utility>

#include "netns/addr/address.h"
#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/route/route.h"
#include "runtime/supervisor/egress_drivers.h"

namespace orrery {
namespace {

Result<Rtnl> rtnlOf(const std::string& netns) {
  ORRERY_TRY_ASSIGN(const NetnsFd fd, openNetns(netns));
  return Rtnl::open(fd);
}

}  // namespace

Status LinkWatch::start(event_base* base, const NetnsFd& netns, const IfName& name,
                        std::function<void(const Link&)> onChange) {
  name_ = name;
  onChange_ = std::move(onChange);
  // The monitor first, then the look: no change falls between.
  ORRERY_TRY_ASSIGN(RtnlMonitor monitor, RtnlMonitor::openForLinks(netns));
  monitor_.emplace(std::move(monitor));
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(netns));
  rtnl_.emplace(std::move(rtnl));
  ORRERY_TRY_ASSIGN(watch_, ReadWatch::start(base, monitor_->fd(), [this] { readable(); }));
  return look();
}

Status LinkWatch::look() {
  ORRERY_TRY_ASSIGN(const auto link, findLink(*rtnl_, name_));
  const Link now{link.has_value(), link && link->up, link && link->up && link->carrier};
  if (last_ == now) return {};
  last_ = now;
  onChange_(now);
  return {};
}

void LinkWatch::readable() {
  const auto events = monitor_->read();
  if (!events) return;
  for (const RtnlEvent& event : *events) {
    const auto* changed = std::get_if<LinkChanged>(&event);
    const auto* removed = std::get_if<LinkRemoved>(&event);
    const bool ours = (changed != nullptr && changed->name == name_.str()) ||
                      (removed != nullptr && removed->name == name_.str()) ||
                      std::holds_alternative<Overflow>(event);
    if (!ours) continue;
    (void)look();  // the namespace is ours and there; a failed look is followed by the next event's
    return;
  }
}

Status watchUplink(EgressHost& host, LinkWatch& watch, std::function<void(bool)> onCarrier) {
  const RouterSpec& spec = host.context().spec;
  ORRERY_TRY_ASSIGN(const NetnsFd netns, openNetns(uplinkNetns(spec)));
  return watch.start(host.surroundings().base, netns, uplinkName(),
                     [&host, onCarrier = std::move(onCarrier)](const LinkWatch::Link& link) {
                       const bool ok = link.present && link.carrier;
                       onCarrier(ok);
                       host.setRung("carrier", ok ? RungState::ok : RungState::failed,
                                    ok ? "link up" : "the router upstream is gone");
                     });
}

Status keepOnlyAddress(Rtnl& rtnl, const IfName& name, const std::optional<Prefix4>& address) {
  ORRERY_TRY_ASSIGN(const auto addresses, listAddresses(rtnl, name));
  bool there = false;
  for (const Address& present : addresses) {
    if (address && present.address == *address)
      there = true;
    else
      ORRERY_TRY(deleteAddress(rtnl, name, present.address));
  }
  if (!address || there) return {};
  return addAddress(rtnl, name, *address);
}

// --- the way out ---------------------------------------------------------------------------------

Status TunnelPath::bringIn(const TunnelDevice& device) {
  const RouterSpec& spec = host_.context().spec;
  ORRERY_TRY_ASSIGN(const NetnsFd lan, openNetns(spec.id.text()));
  ORRERY_TRY_ASSIGN(Rtnl inside, Rtnl::open(lan));
  ORRERY_TRY_ASSIGN(const auto present, findLink(inside, device.name));
  if (!present) {
    ORRERY_TRY_ASSIGN(Rtnl outside, rtnlOf(spec.id.egressText()));
    ORRERY_TRY(moveLink(outside, device.name, lan));
  }
  ORRERY_TRY(setLinkMtu(inside, device.name, device.mtu));
  ORRERY_TRY(keepOnlyAddress(inside, device.name, device.address));
  ORRERY_TRY(setLinkUp(inside, device.name));
  inside_ = true;
  return watchDevice(lan);
}

Status TunnelPath::clear(const std::string& why) {
  tunnelDown(why);
  inside_ = false;
  const RouterId& id = host_.context().spec.id;
  for (const std::string& netns : {id.text(), id.egressText()}) {
    ORRERY_TRY_ASSIGN(Rtnl rtnl, rtnlOf(netns));
    ORRERY_TRY(deleteLink(rtnl, device_));
  }
  return {};
}

// By name, so once is enough for all devices to come.
Status TunnelPath::watchDevice(const NetnsFd& lan) {
  if (watch_) return {};
  watch_.emplace();
  Status watched = watch_->start(host_.surroundings().base, lan, device_,
                                 [this](const LinkWatch::Link& link) { deviceChanged(link); });
  if (!watched) watch_.reset();
  return watched;
}

void TunnelPath::deviceChanged(const LinkWatch::Link& link) {
  if (!inside_ || (link.present && link.up)) return;
  inside_ = false;
  const char* why =
      link.present ? "the tunnel's device was set down" : "the tunnel's device was deleted";
  host_.setWayOut(std::nullopt);
  host_.setRung("tunnel", RungState::failed, why);
  // An event of its own: where the device is gone the kernel has forgotten the flows already.
  host_.note(Severity::warning, "", "tunnel-device-lost", {{"why", why}});
  tunnelDown(why);
  onLost_();
}

Status TunnelPath::tunnelUp() {
  up_ = true;
  return carrier_ ? open() : Status{};
}

void TunnelPath::tunnelDown(const std::string& why) {
  up_ = false;
  shut(why);
}

void TunnelPath::carrier(bool there) {
  const bool was = std::exchange(carrier_, there);
  if (was && !there) shut("the uplink has no carrier");
  if (was || !there || !up_) return;
  if (Status opened = open(); !opened)
    host_.setRung("tunnel", RungState::failed, opened.error().message);
}

Status TunnelPath::open() {
  ORRERY_TRY_ASSIGN(Rtnl rtnl, rtnlOf(host_.context().spec.id.text()));
  Route route;
  route.destination = Prefix4{Ipv4{0}, 0};
  route.interface = device_;
  return replaceRoute(rtnl, route);
}

// In this order: while there is a route a flow that is forgotten would begin anew.
void TunnelPath::shut(const std::string& why) {
  Status closed = [&]() -> Status {
    ORRERY_TRY_ASSIGN(Rtnl rtnl, rtnlOf(host_.context().spec.id.text()));
    ORRERY_TRY_ASSIGN(const auto present, findLink(rtnl, device_));
    if (!present) return {};  // and its route with it
    Route route;
    route.destination = Prefix4{Ipv4{0}, 0};
    route.interface = device_;
    ORRERY_TRY(deleteRoute(rtnl, route));
    return emptyLinkQueue(rtnl, *present);
  }();
  host_.cutFlows(why);
  if (!closed)
    host_.note(Severity::error, "", "way-out-not-shut", {{"why", closed.error().message}});
}

}  // namespace orrery
