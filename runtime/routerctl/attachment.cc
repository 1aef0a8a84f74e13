#include "runtime/routerctl/attachment.h"

#include <algorithm>
#include <functional>

#include "netns/addr/address.h"
#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/neigh/neigh.h"
#include "netns/nft/nft.h"
#include "netns/route/route.h"
#include "routers/kinds/desired.h"
#include "runtime/control/json.h"
#include "runtime/control/paths.h"
#include "runtime/engine/port_owners.h"
#include "runtime/engine/router_store.h"
#include "runtime/engine/supervisor_process.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::string_view kSchema = "orrery.attachment/1";

std::string recordPath(const RouterPaths& paths, const Attachment& a) {
  return paths.attachments + "/" + a.port.str() + ".json";
}
std::string reservationPath(const RouterId& router, const std::string& root, Ipv4 address) {
  return root + reservationDirectory(router) + "/" + toString(address);
}

// Reservations (routers downstream and clients), leases, and whoever the router has heard of.
Result<std::vector<Ipv4>> takenAddresses(const RouterId& router, const std::string& root,
                                         Rtnl& lan) {
  std::vector<Ipv4> taken;
  ORRERY_TRY_ASSIGN(const auto reserved, listDirectory(root + reservationDirectory(router)));
  for (const std::string& name : reserved)
    if (const auto address = parseIpv4(name)) taken.push_back(*address);
  const auto leases = readForeignFile(RouterPaths(router, root).leases);
  if (!leases && leases.error().err != ENOENT) return tl::unexpected<Error>(leases.error());
  if (leases)
    for (const std::string_view line : split(*leases, '\n')) {
      const auto words = splitWords(line);  // expiry, MAC, address, name, client id
      if (words.size() < 3) continue;
      if (const auto address = parseIpv4(words[2])) taken.push_back(*address);
    }
  ORRERY_TRY_ASSIGN(const auto neighbours, listNeighbours(lan));
  for (const Neighbour& neighbour : neighbours)
    if (!neighbour.failed()) taken.push_back(neighbour.address);
  return taken;
}

Status configureClient(Rtnl& client, const LanSpec& lan, const Attachment& a) {
  ORRERY_TRY(addAddress(client, a.interface, Prefix4{a.address, lan.address.length}));
  ORRERY_TRY(setLinkUp(client, a.interface));
  Route route;
  route.destination = Prefix4{Ipv4{0}, 0};
  route.gateway = lan.address.address;
  route.interface = a.interface;
  return addRoute(client, route);
}

Status admit(const RouterId& router, const std::string& root, const NetnsFd& lan,
             const Attachment& a) {
  ORRERY_TRY_ASSIGN(NftSocket rules, NftSocket::open(lan));
  return admitOwner(rules, router, {a.port, a.mac, a.address}, root);
}

Status plug(Rtnl& lanRtnl, const RouterSpec& router, const NetnsFd& client, const Attachment& a,
            bool configure) {
  ORRERY_TRY_ASSIGN(const IfName bridge, IfName::parse(router.id.name));
  VethEnd port;
  port.name = a.port;
  port.mac = portMac(a.mac);
  port.bridge = bridge;
  port.isolated = !router.lan.clientsTalk;
  port.up = true;
  VethEnd peer;
  peer.name = a.interface;
  peer.mac = a.mac;
  peer.netns = &client;
  ORRERY_TRY(createVeth(lanRtnl, port, peer, router.lan.mtu));
  if (!configure) return {};
  ORRERY_TRY_ASSIGN(Rtnl clientRtnl, Rtnl::open(client));
  return configureClient(clientRtnl, router.lan, a);
}

// The record first: a reservation without a record would stay for ever.
Status writeDown(const RouterId& router, const std::string& root, const Attachment& a) {
  const RouterPaths paths(router, root);
  ORRERY_TRY(makeDirectories(paths.attachments, 0755));
  ORRERY_TRY(writeFileAtomic(recordPath(paths, a), toText(a), 0644));
  ORRERY_TRY(makeDirectories(root + reservationDirectory(router), 0755));
  ORRERY_TRY(writeFileAtomic(reservationPath(router, root, a.address),
                             fmt::format("{},{}\n", toString(a.mac), toString(a.address)), 0644));
  return applyReservations(router);
}

// A bridge hands frames by MAC: with two of one MAC, one would get what is for the other. All that
// hang on the router have a reservation ("MAC,address"). Under the StoreLock.
Status checkClientMac(const RouterSpec& router, const std::string& root, const Mac& mac) {
  const auto taken = [&mac](const std::string& by) {
    return sysError(EEXIST, "MAC {} is that of {} on this LAN; give the machine another",
                    toString(mac), by);
  };
  if (mac == router.lan.mac) return taken("the router");
  const std::string directory = root + reservationDirectory(router.id);
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(directory));
  for (const std::string& name : names) {
    ORRERY_TRY_ASSIGN(const std::string text, readForeignFile(directory + "/" + name));
    if (text.starts_with(toString(mac) + ",")) return taken("the client " + name);
  }
  return {};
}

Status detachLocked(const RouterId& router, const Attachment& attachment, const std::string& root);

// Under the StoreLock: an attachment that is being made has a record before it has a port.
Result<std::vector<Attachment>> detachLostLocked(const RouterId& router, const std::string& root,
                                                 Rtnl& lan) {
  ORRERY_TRY_ASSIGN(const auto attachments, listAttachments(router, root));
  std::vector<Attachment> lost;
  for (const Attachment& attachment : attachments) {
    ORRERY_TRY_ASSIGN(const auto port, findLink(lan, attachment.port));
    if (port) continue;
    ORRERY_TRY(detachLocked(router, attachment, root));
    lost.push_back(attachment);
  }
  return lost;
}

}  // namespace

IfName clientPortName(Ipv4 address) {
  return IfName::parse(fmt::format("c{:08x}", address.value)).value();
}

Status checkClientAddress(const LanSpec& lan, Ipv4 address, const std::vector<Ipv4>& taken) {
  if (!lan.address.contains(address) || address == lan.address.network() ||
      address == lan.address.broadcast())
    return error("{} is no client address of {}", toString(address), toString(lan.address));
  if (address == lan.address.address)
    return error("{} is the router's own address", toString(address));
  if (std::ranges::find(taken, address) != taken.end())
    return sysError(EADDRINUSE, "{} is taken", toString(address));
  return {};
}

Result<Ipv4> chooseClientAddress(const LanSpec& lan, const std::vector<Ipv4>& taken,
                                 AddressChoice choice) {
  const auto inRange = [&](Ipv4 a) {
    return lan.dhcp && a >= lan.dhcp->first && a <= lan.dhcp->last;
  };
  for (const bool insideRange : {false, true}) {
    if (!insideRange && choice == AddressChoice::insideRange) continue;
    for (std::uint32_t value = lan.address.broadcast().value;
         value-- > lan.address.network().value;) {
      const Ipv4 address{value};
      if (inRange(address) == insideRange && checkClientAddress(lan, address, taken))
        return address;
    }
  }
  return error("every address of {} is taken", toString(lan.address));
}

namespace {

struct AddressWish {
  std::optional<Ipv4> address;
  AddressChoice choice = AddressChoice::outsideRangeFirst;
};

// Chooses the address, lets `complete` fill in the rest, writes it down and has `connect` make the
// port. Nobody else may choose an address until ours is written down, so all of it is under the
// lock.
Result<Attachment> attach(const RouterSpec& router, const std::string& root,
                          const AddressWish& wish,
                          const std::function<Status(Attachment&)>& complete,
                          const std::function<Status(Rtnl&, const Attachment&)>& connect) {
  const RouterPaths paths(router.id, root);
  ORRERY_TRY_ASSIGN(const NetnsFd lan, openNetns(paths.lanNetns));
  ORRERY_TRY_ASSIGN(Rtnl lanRtnl, Rtnl::open(lan));
  ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
  ORRERY_TRY(detachLostLocked(router.id, root, lanRtnl));
  ORRERY_TRY_ASSIGN(const auto taken, takenAddresses(router.id, root, lanRtnl));
  Attachment a;
  if (wish.address) {
    ORRERY_TRY(checkClientAddress(router.lan, *wish.address, taken));
    a.address = *wish.address;
  } else {
    ORRERY_TRY_ASSIGN(a.address, chooseClientAddress(router.lan, taken, wish.choice));
  }
  a.port = clientPortName(a.address);
  a.mac = macFromAddress(a.address, networkNumber(router.id.network));
  ORRERY_TRY(complete(a));
  Status done = writeDown(router.id, root, a);
  if (done) done = admit(router.id, root, lan, a);
  if (done) done = connect(lanRtnl, a);
  if (done) return a;
  Error first = std::move(done).error();
  if (Status undone = detachLocked(router.id, a, root); !undone)
    first.also.push_back(std::move(undone).error());
  return tl::unexpected<Error>(std::move(first));
}

// Before anything is written: what would be refused later must not be moved.
Status checkTap(Rtnl& home, const IfName& name) {
  ORRERY_TRY_ASSIGN(const auto link, findLink(home, name));
  if (!link)
    return sysError(ENODEV,
                    "there is no tap '{}' here: the virtual machine makes it, or 'ip tuntap'",
                    name.str());
  if (link->kind != "tun") return error("'{}' is no tap", name.str());
  if (link->mac == Mac{}) return error("'{}' is a tun, which carries no frames", name.str());
  if (link->master) return error("'{}' is a port of a bridge of this host", name.str());
  return {};
}

Status plugTap(Rtnl& home, Rtnl& lan, const RouterSpec& router, const Attachment& a) {
  ORRERY_TRY_ASSIGN(const IfName bridge, IfName::parse(router.id.name));
  ORRERY_TRY(moveLink(home, a.interface, lan.netns(), a.port));
  ORRERY_TRY(setLinkMac(lan, a.port, portMac(a.mac)));
  ORRERY_TRY(setLinkMtu(lan, a.port, router.lan.mtu));
  // A port forwards nothing while it is down, so it is isolated before it ever does.
  ORRERY_TRY(setLinkMaster(lan, a.port, bridge));
  BridgePort settings;
  settings.isolated = !router.lan.clientsTalk;
  settings.unicastFlood = router.lan.clientsTalk;
  ORRERY_TRY(setPortOwner(lan, a.port, a.mac));
  ORRERY_TRY(setBridgePort(lan, a.port, settings));
  ORRERY_TRY(setLinkUp(lan, a.port));
  ORRERY_TRY_ASSIGN(const auto link, findLink(lan, a.port));
  if (link && !link->carrier)
    return error("no program has '{}' open: start the virtual machine first (qemu: script=)",
                 a.interface.str());
  return {};
}

// Back to where it came from, or gone: a machine that still has it open can be attached elsewhere.
Status giveTapBack(Rtnl& lan, const Attachment& a) {
  ORRERY_TRY_ASSIGN(const auto port, findLink(lan, a.port));
  if (!port) return {};
  ORRERY_TRY_ASSIGN(const NetnsFd home, openNetns(""));
  ORRERY_TRY(setLinkMaster(lan, a.port, std::nullopt));
  if (moveLink(lan, a.port, home, a.interface)) return {};
  return deleteLink(lan, a.port);
}

}  // namespace

Result<Attachment> attachClient(const RouterSpec& router, const NetnsFd& client,
                                const AttachOptions& options) {
  const AddressWish wish{options.address, options.configure ? AddressChoice::outsideRangeFirst
                                                            : AddressChoice::insideRange};
  return attach(
      router, options.root, wish,
      [&](Attachment& a) -> Status {
        a.interface = options.interface;
        ORRERY_TRY_ASSIGN(a.clientInode, netnsInode(client));
        return {};
      },
      [&](Rtnl& lan, const Attachment& a) {
        return plug(lan, router, client, a, options.configure);
      });
}

Result<Attachment> attachTap(const RouterSpec& router, const TapOptions& options) {
  ORRERY_TRY_ASSIGN(const NetnsFd own, openNetns(""));
  ORRERY_TRY_ASSIGN(Rtnl home, Rtnl::open(own));
  ORRERY_TRY(checkTap(home, options.tap));
  const AddressWish wish{options.address, router.lan.dhcp ? AddressChoice::insideRange
                                                          : AddressChoice::outsideRangeFirst};
  return attach(
      router, options.root, wish,
      [&](Attachment& a) -> Status {
        a.interface = options.tap;
        a.tap = true;
        if (options.mac) a.mac = *options.mac;
        return checkClientMac(router, options.root, a.mac);
      },
      [&](Rtnl& lan, const Attachment& a) { return plugTap(home, lan, router, a); });
}

Status detachClient(const RouterId& router, const Attachment& attachment, const std::string& root) {
  ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
  return detachLocked(router, attachment, root);
}

namespace {

Status detachLocked(const RouterId& router, const Attachment& attachment, const std::string& root) {
  const RouterPaths paths(router, root);
  const auto lan = openNetns(paths.lanNetns);
  if (!lan && lan.error().err != ENOENT) return tl::unexpected<Error>(lan.error());
  if (lan) {
    ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(*lan));
    ORRERY_TRY(attachment.tap ? giveTapBack(rtnl, attachment) : deleteLink(rtnl, attachment.port));
    ORRERY_TRY(noteDeparture(router, {attachment.port, attachment.mac, attachment.address}, root));
  }
  ORRERY_TRY(removeFile(reservationPath(router, root, attachment.address)));
  ORRERY_TRY(announceReservations(router));
  return removeFile(recordPath(paths, attachment));
}

}  // namespace

Result<std::vector<Attachment>> detachLost(const RouterId& router, const std::string& root) {
  auto netns = openNetns(RouterPaths(router, root).lanNetns);
  if (!netns && netns.error().err == ENOENT) return std::vector<Attachment>{};
  if (!netns) return tl::unexpected<Error>(std::move(netns).error());
  ORRERY_TRY_ASSIGN(Rtnl lan, Rtnl::open(*netns));
  ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
  return detachLostLocked(router, root, lan);
}

Result<std::vector<std::string>> removeUnfinished(const RouterId& router, const std::string& root) {
  ORRERY_TRY_ASSIGN(const StoreLock lock, StoreLock::acquire());
  ORRERY_TRY_ASSIGN(auto removed, removeTemporaries(RouterPaths(router, root).attachments));
  ORRERY_TRY_ASSIGN(const auto more, removeTemporaries(root + reservationDirectory(router)));
  removed.insert(removed.end(), more.begin(), more.end());
  return removed;
}

Result<std::vector<Attachment>> listAttachments(const RouterId& router, const std::string& root) {
  const RouterPaths paths(router, root);
  ORRERY_TRY_ASSIGN(const auto names, listDirectory(paths.attachments));
  std::vector<Attachment> attachments;
  for (const std::string& name : names) {
    if (!name.ends_with(".json")) continue;
    ORRERY_TRY_ASSIGN(const std::string text, readFile(paths.attachments + "/" + name));
    auto attachment = parseAttachment(text);
    if (!attachment) return wrap(std::move(attachment).error(), "'{}/{}'", paths.attachments, name);
    attachments.push_back(std::move(attachment).value());
  }
  return attachments;
}

std::string toText(const Attachment& a) {
  return Json::object({{"schema", kSchema},
                       {"port", a.port.str()},
                       {"interface", a.interface.str()},
                       {"mac", toString(a.mac)},
                       {"address", toString(a.address)},
                       {"clientInode", a.clientInode},
                       {"tap", a.tap}})
             .dump() +
         "\n";
}

Result<Attachment> parseAttachment(std::string_view text) {
  ORRERY_TRY_ASSIGN(const Json json, parseJson(trim(text)));
  if (json.text("schema") != kSchema) return error("not of schema '{}'", kSchema);
  Attachment a;
  ORRERY_TRY_ASSIGN(a.port, IfName::parse(json.text("port")));
  ORRERY_TRY_ASSIGN(a.interface, IfName::parse(json.text("interface")));
  ORRERY_TRY_ASSIGN(a.mac, parseMac(json.text("mac")));
  ORRERY_TRY_ASSIGN(a.address, parseIpv4(json.text("address")));
  a.clientInode = static_cast<std::uint64_t>(json.integer("clientInode"));
  a.tap = json.boolean("tap");
  return a;
}

}  // namespace orrery
