// IPv4 routes and the rules that choose a table by firewall mark (ip-route(8), ip-rule(8)).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "netns/addr/ip.h"
#include "netns/netlink/rtnl.h"

namespace orrery {

enum class RouteType { unicast, local, unreachable, blackhole, prohibit, broadcast, other };
const char* toString(RouteType type);

inline constexpr std::uint32_t kMainTable = 254;   // RT_TABLE_MAIN
inline constexpr std::uint32_t kLocalTable = 255;  // RT_TABLE_LOCAL: the kernel's own

struct Route {
  Prefix4 destination;  // 0.0.0.0/0: default. Host bits are an error (EINVAL)
  std::optional<Ipv4> gateway;
  std::optional<IfName> interface;  // none for unreachable and blackhole; empty when read
  int index = 0;                    // when read: the interface; when given: if there is no name
  std::uint32_t table = kMainTable;
  RouteType type = RouteType::unicast;
  std::optional<Ipv4> source;  // preferred source address
  std::uint32_t metric = 0;
  std::uint8_t protocol = 4;  // RTPROT_STATIC; 2 is the kernel's own
  bool onLink = false;        // RTNH_F_ONLINK: the gateway is reachable there without a route
  friend bool operator==(const Route&, const Route&) = default;
};
Result<Route> parseRoute(Bytes payload);  // of an RTM_NEWROUTE of AF_INET; err EBADMSG

Status addRoute(Rtnl& rtnl, const Route& route);      // err EEXIST
Status replaceRoute(Rtnl& rtnl, const Route& route);  // same destination, table and metric
Status deleteRoute(Rtnl& rtnl, const Route& route);   // absent is fine
Result<std::vector<Route>> listRoutes(Rtnl& rtnl);    // all tables

struct Rule {
  std::uint32_t priority = 0;
  std::uint32_t mark = 0;  // FRA_FWMARK
  std::uint32_t mask = 0;  // 0: the rule does not look at the mark
  std::uint32_t table = 0;
  std::uint8_t action = 1;  // FR_ACT_TO_TBL
  bool narrowed = false;    // it looks at more than the mark: addresses, links, ports, users …
  friend bool operator==(const Rule&, const Rule&) = default;
};
Result<Rule> parseRule(Bytes payload);  // of an RTM_NEWRULE of AF_INET; err EBADMSG

inline constexpr std::uint32_t kMarkRulePriority = 100;  // before main's 32766

// "fwmark MARK lookup TABLE" for packets whose whole mark is equal.
Status addMarkRule(Rtnl& rtnl, std::uint32_t mark, std::uint32_t table);     // err EEXIST
Status deleteMarkRule(Rtnl& rtnl, std::uint32_t mark, std::uint32_t table);  // absent is fine
Result<std::vector<Rule>> listRules(Rtnl& rtnl);

}  // namespace orrery
