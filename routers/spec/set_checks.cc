#include "routers/spec/set_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace orrery {
namespace {

enum class Check { duplicate, universe, uplink, nic, subnet, tor, address, names };

class SetChecker {
 public:
  explicit SetChecker(const RouterSet& set) : set_(set) {
    for (const PlacedRouter& router : set.routers) byId_.emplace(router.spec.id, &router);
    for (const DeclaredRouter& router : set.declared) declared_.insert(router.id);
  }

  Diagnostics run() {
    checkDuplicates();
    checkUniverses();
    for (const PlacedRouter& router : set_.routers) {
      checkUplinkExists(router);
      checkCycle(router);
      checkTorOverTor(router);
      checkUplinkAddress(router);
      checkNames(router);
    }
    checkNics();
    checkSubnets();
    return std::move(out_);
  }

 private:
  // Nothing to fill in if the place is unknown or has had this complaint before.
  template <class Fill>
  void complain(Check check, const Source* source, const Span& span, std::string message,
                Fill fill) {
    if (source == nullptr) return;
    if (!seen_.insert({check, source, span.line, span.column}).second) return;
    Diagnostic d = source->at(span, std::move(message));
    fill(d);
    out_.push_back(std::move(d));
  }

  static std::string placeOf(const Source* source, const Span& span) {
    return source == nullptr ? "a router that is there already"
                             : fmt::format("{}:{}", source->file(), span.line);
  }

  const PlacedRouter* upstreamOf(const PlacedRouter& router) const {
    const auto* uplink = std::get_if<RouterUplink>(&router.spec.uplink);
    if (uplink == nullptr) return nullptr;
    const auto found = byId_.find(RouterId{router.spec.id.network, uplink->router});
    return found == byId_.end() ? nullptr : found->second;
  }

  void checkDuplicates() {
    std::map<RouterId, const DeclaredRouter*> first;
    for (const DeclaredRouter& router : set_.declared) {
      const auto [found, fresh] = first.emplace(router.id, &router);
      if (fresh) continue;
      const DeclaredRouter& other = *found->second;
      complain(Check::duplicate, router.source, router.span,
               fmt::format("router '{}' is defined twice in {}", router.id.name, router.id.network),
               [&](Diagnostic& d) {
                 d.hint = fmt::format("the other one: {}", placeOf(other.source, other.span));
               });
    }
  }

  void checkUniverses() {
    std::map<std::string, const PlacedRouter*> first;
    for (const PlacedRouter& router : set_.routers) {
      if (router.spec.kind != Kind::universe) continue;
      const auto [other, fresh] = first.emplace(router.spec.id.network, &router);
      if (fresh || other->second->spec.id == router.spec.id) continue;
      complain(Check::universe, router.source, router.spans.name,
               fmt::format("{} has two universes: '{}' and '{}'", router.spec.id.network,
                           other->second->spec.id.name, router.spec.id.name),
               [](Diagnostic& d) {
                 d.expected = "one universe at the root of a network";
                 d.hint = "put the second one into a file with another 'network'";
               });
    }
  }

  void checkUplinkExists(const PlacedRouter& router) {
    const auto* uplink = std::get_if<RouterUplink>(&router.spec.uplink);
    if (uplink == nullptr) return;
    if (declared_.contains(RouterId{router.spec.id.network, uplink->router})) return;
    std::vector<std::string> candidates;
    std::string elsewhere;
    for (const RouterId& other : declared_) {
      if (other.network == router.spec.id.network) {
        candidates.push_back(other.name);
      } else if (other.name == uplink->router) {
        elsewhere = other.network;
      }
    }
    complain(Check::uplink, router.source, router.spans.uplink,
             fmt::format("the uplink of '{}', '{}', is not a router of {}", router.spec.id.name,
                         uplink->router, router.spec.id.network),
             [&](Diagnostic& d) {
               d.hint = elsewhere.empty()
                            ? didYouMean(uplink->router, candidates)
                            : fmt::format("there is one in {}, but networks do not share routers",
                                          elsewhere);
             });
  }

  // Walks upstream until the root, or until a router that was there before: then, if that is the
  // one it began with, it is in a cycle. Each cycle is reported for one of its routers.
  void checkCycle(const PlacedRouter& router) {
    std::vector<const PlacedRouter*> path{&router};
    std::set<const PlacedRouter*> walked{&router};
    for (const PlacedRouter* at = upstreamOf(router); at != nullptr; at = upstreamOf(*at)) {
      path.push_back(at);
      if (at == &router) break;
      if (!walked.insert(at).second) return;
    }
    if (path.size() < 2 || path.back() != &router) return;
    if (std::any_of(walked.begin(), walked.end(),
                    [&](const PlacedRouter* r) { return inReportedCycle_.contains(r); })) {
      return;
    }
    inReportedCycle_.insert(walked.begin(), walked.end());
    std::string text;
    for (const PlacedRouter* r : path) text += (text.empty() ? "" : " -> ") + r->spec.id.name;
    complain(Check::uplink, router.source, router.spans.uplink,
             fmt::format("the uplinks go round in a circle: {}", text),
             [](Diagnostic& d) { d.expected = "a chain of uplinks that ends at a universe"; });
  }

  void checkTorOverTor(const PlacedRouter& router) {
    if (router.spec.kind != Kind::star) return;
    std::set<const PlacedRouter*> walked{&router};
    for (const PlacedRouter* at = upstreamOf(router); at != nullptr && walked.insert(at).second;
         at = upstreamOf(*at)) {
      if (at->spec.kind != Kind::star) continue;
      complain(Check::tor, router.source, router.spans.uplink,
               fmt::format("Tor over Tor: the star '{}' is behind the star '{}'",
                           router.spec.id.name, at->spec.id.name),
               [](Diagnostic& d) {
                 d.expected = "an uplink that does not lead through a star";
                 d.hint =
                     "two circuits in a row are slower and not safer: the second guard sees "
                     "the first exit";
               });
      return;
    }
  }

  void checkUplinkAddress(const PlacedRouter& router) {
    const auto* uplink = std::get_if<RouterUplink>(&router.spec.uplink);
    const PlacedRouter* upstream = upstreamOf(router);
    if (uplink == nullptr || !uplink->address || upstream == nullptr) return;
    const Prefix4& lan = upstream->spec.lan.address;
    const Ipv4 address = *uplink->address;
    std::string message;
    if (!lan.contains(address)) {
      message = fmt::format("{} is not on the LAN of '{}'", toString(address), uplink->router);
    } else if (address == lan.address) {
      message = fmt::format("{} is the address of '{}' itself", toString(address), uplink->router);
    } else if (address == lan.network() || address == lan.broadcast()) {
      message = fmt::format("{} is the first or last address of the LAN of '{}'", toString(address),
                            uplink->router);
    } else {
      const auto [other, fresh] =
          uplinkAddresses_.emplace(std::pair(upstream->spec.id, address), &router);
      if (fresh) return;
      message = fmt::format("{} on the LAN of '{}' is used by '{}' and '{}'", toString(address),
                            uplink->router, other->second->spec.id.name, router.spec.id.name);
    }
    complain(Check::address, router.source, router.spans.uplinkAddress, std::move(message),
             [&](Diagnostic& d) {
               d.expected = fmt::format("a free address of {}, or none: then one is chosen",
                                        toString(Prefix4{lan.network(), lan.length}));
             });
  }

  void checkNames(const PlacedRouter& router) {
    const bool used =
        router.spec.kind == Kind::star || std::holds_alternative<Socks5Egress>(router.spec.egress);
    if (!used || !router.spec.dns.names.overlaps(router.spec.lan.address)) return;
    const Span& span = router.spans.dnsNames;
    complain(Check::names, router.source, span,
             fmt::format("the range of addresses for names, {}, overlaps the LAN {}",
                         toString(router.spec.dns.names), toString(router.spec.lan.address)),
             [](Diagnostic& d) {
               d.hint = "set 'names' in the router's 'dns' table to a range that nobody uses";
             });
  }

  static std::string nicText(const NicSelector& nic) {
    struct Text {
      std::string operator()(const NicByMac& n) const { return "with MAC " + toString(n.mac); }
      std::string operator()(const NicByPci& n) const { return "at PCI " + n.slot; }
      std::string operator()(const NicByName& n) const { return "'" + n.name.str() + "'"; }
    };
    return std::visit(Text{}, nic);
  }

  void checkNics() {
    std::map<std::string, const PlacedRouter*> first;
    for (const PlacedRouter& router : set_.routers) {
      const auto* uplink = std::get_if<NicUplink>(&router.spec.uplink);
      if (uplink == nullptr) continue;
      const std::string nic = nicText(uplink->nic);
      const auto [other, fresh] = first.emplace(nic, &router);
      if (fresh || other->second->spec.id == router.spec.id) continue;
      complain(Check::nic, router.source, router.spans.uplink,
               fmt::format("the NIC {} is used by {} and {}", nic, other->second->spec.id.text(),
                           router.spec.id.text()),
               [](Diagnostic& d) { d.expected = "a NIC of its own for each universe"; });
    }
  }

  struct Subnet {
    const PlacedRouter* router;
    Prefix4 prefix;
    Span span;
    const char* side;
  };

  void checkSubnets() {
    std::vector<Subnet> subnets;
    for (const PlacedRouter& router : set_.routers) {
      subnets.push_back({&router, router.spec.lan.address, router.spans.lanAddress, "LAN"});
      const auto* nic = std::get_if<NicUplink>(&router.spec.uplink);
      if (nic != nullptr && nic->fixed) {
        subnets.push_back({&router, nic->fixed->address, router.spans.uplinkAddress, "uplink"});
      }
    }
    for (std::size_t i = 0; i < subnets.size(); ++i) {
      if (subnets[i].router->source == nullptr) continue;  // the known are in front
      for (std::size_t j = 0; j < i; ++j) compareSubnets(subnets[j], subnets[i]);
    }
  }

  void compareSubnets(const Subnet& a, const Subnet& b) {
    if (!a.prefix.overlaps(b.prefix)) return;
    const RouterId& idA = a.router->spec.id;
    const RouterId& idB = b.router->spec.id;
    const bool sameThing = idA == idB && a.router != b.router;  // a duplicate: reported as such
    if (idA.network != idB.network || sameThing) return;
    complain(
        Check::subnet, b.router->source, b.span,
        fmt::format("subnets overlap in {}: {} {} of '{}' and {} {} of '{}'", idA.network, a.side,
                    toString(a.prefix), idA.name, b.side, toString(b.prefix), idB.name),
        [&](Diagnostic& d) {
          d.hint = fmt::format("the other one: {}; only different networks may use the same",
                               placeOf(a.router->source, a.span));
        });
  }

  const RouterSet& set_;
  Diagnostics out_;
  std::map<RouterId, const PlacedRouter*> byId_;
  std::set<RouterId> declared_;
  std::set<std::tuple<Check, const Source*, std::size_t, std::size_t>> seen_;
  std::set<const PlacedRouter*> inReportedCycle_;
  std::map<std::pair<RouterId, Ipv4>, const PlacedRouter*> uplinkAddresses_;
};

}  // namespace

Diagnostics checkSet(const RouterSet& set) {
  return SetChecker(set).run();
}

}  // namespace orrery
