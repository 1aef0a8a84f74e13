#include "runtime/audit/attached.h"

#include <algorithm>

#include "runtime/audit/structure.h"

namespace orrery::audit {
namespace {

constexpr Ipv4 kAllHosts{0xe0000001};  // 224.0.0.1: joined by the kernel with every link
constexpr const char* kAuditor = "orrery-auditor";

}  // namespace

std::vector<std::string> compareTraffic(const TrafficControl& traffic,
                                        const std::function<std::string(int)>& linkName) {
  std::vector<std::string> out;
  for (const Qdisc& qdisc : traffic.qdiscs)
    if (!isPlainQueue(qdisc))
      out.push_back(fmt::format("link '{}' has a queueing discipline '{}'", linkName(qdisc.index),
                                qdisc.kind));
  for (const TcFilter& filter : traffic.filters)
    out.push_back(
        fmt::format("link '{}' has a tc filter '{}'", linkName(filter.index), filter.kind));
  for (const AttachedBpf& program : traffic.programs)
    out.push_back(program.index != 0 ? fmt::format("link '{}' has a BPF program at {}",
                                                   linkName(program.index), program.hook)
                                     : fmt::format("it has a BPF program at {}", program.hook));
  return out;
}

namespace {

class AttachedComparison {
 public:
  AttachedComparison(const NamespaceModel& model, const NamespaceSeen& seen)
      : model_(model), seen_(seen), attached_(seen.attached) {}

  std::vector<std::string> run() && {
    traffic();
    guardSets();
    entries();
    for (const SocketSeen& socket : attached_.sockets) checkSocket(socket);
    for (const Membership& each : attached_.memberships)
      if (each.group != kAllHosts)
        say(fmt::format("link '{}' has joined the multicast group {}", each.link,
                        toString(each.group)));
    for (const std::string& route : attached_.ipv6Routes) say("it has an IPv6 route: " + route);
    return std::move(out_);
  }

 private:
  void say(std::string text) { out_.push_back(std::move(text)); }
  std::string linkName(int index) const {
    const Link* link = seen_.snapshot.link(index);
    return link != nullptr ? link->name : fmt::format("if{}", index);
  }
  bool isHere(const IfName& port) const { return seen_.snapshot.link(port.str()) != nullptr; }

  void traffic() {
    for (std::string& each :
         compareTraffic(attached_.traffic, [this](int index) { return linkName(index); }))
      say(std::move(each));
  }

  // An element of a port that is gone lets nobody in: it waits to be swept away (port_owners.h).
  void guardSets() {
    std::vector<nft::SetElement> wanted;
    for (const PortOwner& owner : model_.owners)
      if (isHere(owner.port))
        for (nft::SetElement& element : guardEntries(owner)) wanted.push_back(std::move(element));
    for (const nft::SetElement& element : seen_.rules.elements) {
      const auto known = std::ranges::find(wanted, element);
      if (known != wanted.end()) {
        wanted.erase(known);
        continue;
      }
      if (isOfGonePort(element)) continue;
      say(fmt::format("the guard's set '{}' lets {} in", element.set, keyText(element)));
    }
    for (const nft::SetElement& element : wanted)
      say(fmt::format("the guard's set '{}' lacks {}", element.set, keyText(element)));
  }
  const std::string* gonePortOf(const nft::SetElement& element) const {
    const auto* port = std::get_if<std::string>(&element.key.front());
    return port != nullptr && seen_.snapshot.link(*port) == nullptr ? port : nullptr;
  }
  // By its name, or, where a set holds none, by an element of another set that has both.
  bool isOfGonePort(const nft::SetElement& element) const {
    if (gonePortOf(element) != nullptr) return true;
    if (std::holds_alternative<std::string>(element.key.front())) return false;
    return std::ranges::any_of(seen_.rules.elements, [&](const nft::SetElement& other) {
      return gonePortOf(other) != nullptr &&
             std::ranges::all_of(element.key, [&](const nft::KeyValue& value) {
               return std::ranges::find(other.key, value) != other.key.end();
             });
    });
  }
  static std::string keyText(const nft::SetElement& element) {
    std::string text;
    for (const nft::KeyValue& value : element.key) {
      if (!text.empty()) text += ", ";
      if (const auto* name = std::get_if<std::string>(&value)) text += "'" + *name + "'";
      if (const auto* mac = std::get_if<Mac>(&value)) text += toString(*mac);
      if (const auto* address = std::get_if<Ipv4>(&value)) text += toString(*address);
    }
    return text;
  }

  void entries() {
    for (const ForwardingEntry& entry : attached_.forwarding)
      if (!belongsThere(entry))
        say(fmt::format("the bridge looks for {} behind '{}'", toString(entry.mac),
                        linkName(entry.index)));
    for (const ProxyNeighbour& proxy : attached_.proxies)
      say(fmt::format("it answers for {} on '{}'", toString(proxy.address), linkName(proxy.index)));
    for (const Neighbour& neighbour : seen_.snapshot.neighbours)
      if (neighbour.permanent() && neighbour.address.value >> 28 != 0xe)  // not a group's
        say(fmt::format("neighbour {} on '{}' is set to {}", toString(neighbour.address),
                        linkName(neighbour.index),
                        neighbour.mac ? toString(*neighbour.mac) : std::string("nobody")));
  }
  // Of the port itself, or of its owner.
  bool belongsThere(const ForwardingEntry& entry) const {
    const Link* link = seen_.snapshot.link(entry.index);
    if (link == nullptr || entry.mac == link->mac) return true;
    return std::ranges::any_of(model_.owners, [&](const PortOwner& owner) {
      return owner.port.str() == link->name && owner.mac == entry.mac;
    });
  }

  void checkSocket(const SocketSeen& socket) {
    if (socket.protocol == "tcp" || socket.protocol == "udp") return checkOwner(socket);
    // Ours, while it watches; a stranger of that name would still have to be root here.
    const bool ours = socket.protocol == "packet" &&
                      (socket.holder == kAuditor || (model_.mayHoldPacketSocket && owns(socket)));
    if (!ours)
      say(fmt::format(
          "there is a {} socket, of {}", socket.protocol,
          socket.holder.empty() ? fmt::format("user {}", socket.uid) : "'" + socket.holder + "'"));
  }
  bool owns(const SocketSeen& socket) const {
    const auto& users = model_.socketUsers;
    return !users || (socket.uid >= users->first && socket.uid - users->first < users->count);
  }
  void checkOwner(const SocketSeen& socket) {
    if (owns(socket) || (socket.uid == 0 && model_.mayHoldRootsSockets)) return;
    say(fmt::format("there is a {} socket of user {}, {}", socket.protocol, socket.uid,
                    socket.where));
  }

  const NamespaceModel& model_;
  const NamespaceSeen& seen_;
  const AttachedSeen& attached_;
  std::vector<std::string> out_;
};

}  // namespace

std::vector<std::string> compareAttached(const NamespaceModel& model, const NamespaceSeen& seen) {
  return AttachedComparison(model, seen).run();
}

}  // namespace orrery::audit
