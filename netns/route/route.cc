#include "netns/route/route.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace orrery {
namespace {

std::uint8_t kernelType(RouteType type) {
  switch (type) {
    case RouteType::local:
      return RTN_LOCAL;
    case RouteType::unreachable:
      return RTN_UNREACHABLE;
    case RouteType::blackhole:
      return RTN_BLACKHOLE;
    case RouteType::prohibit:
      return RTN_PROHIBIT;
    case RouteType::broadcast:
      return RTN_BROADCAST;
    case RouteType::unicast:
    case RouteType::other:
      break;
  }
  return RTN_UNICAST;
}

RouteType ourType(std::uint8_t type) {
  switch (type) {
    case RTN_UNICAST:
      return RouteType::unicast;
    case RTN_LOCAL:
      return RouteType::local;
    case RTN_UNREACHABLE:
      return RouteType::unreachable;
    case RTN_BLACKHOLE:
      return RouteType::blackhole;
    case RTN_PROHIBIT:
      return RouteType::prohibit;
    case RTN_BROADCAST:
      return RouteType::broadcast;
    default:
      return RouteType::other;
  }
}

// What ip-route(8) takes as the scope if none is given.
std::uint8_t scopeOf(const Route& route) {
  if (route.type == RouteType::local) return RT_SCOPE_HOST;
  const bool direct = route.type == RouteType::unicast && !route.gateway;
  return direct || route.type == RouteType::broadcast ? std::uint8_t{RT_SCOPE_LINK}
                                                      : std::uint8_t{RT_SCOPE_UNIVERSE};
}

std::string describe(const Route& route) {
  std::string text =
      route.type == RouteType::unicast ? "" : fmt::format("{} ", toString(route.type));
  text += route.destination.length == 0 ? "default" : toString(route.destination);
  if (route.gateway) text += " via " + toString(*route.gateway);
  if (route.interface) text += fmt::format(" by '{}'", route.interface->str());
  if (route.table != kMainTable) text += fmt::format(" in table {}", route.table);
  return text;
}

Result<NlMessage> routeMessage(Rtnl& rtnl, const Route& route, const char* verb, std::uint16_t type,
                               std::uint16_t flags) {
  const std::string label = fmt::format("{} route {}", verb, describe(route));
  int index = route.index;
  if (route.interface) {
    const Result<int> found = rtnl.indexOf(*route.interface);
    if (!found) return wrap(found.error(), "{}", label);
    index = *found;
  }
  rtmsg head{};
  head.rtm_family = AF_INET;
  head.rtm_dst_len = route.destination.length;
  head.rtm_type = kernelType(route.type);
  head.rtm_protocol = route.protocol;
  head.rtm_scope = type == RTM_DELROUTE ? std::uint8_t{RT_SCOPE_NOWHERE} : scopeOf(route);
  if (route.onLink) head.rtm_flags = RTNH_F_ONLINK;
  NlMessage message(label, type, flags, head);
  message.putU32(RTA_TABLE, route.table);  // beats rtm_table, which has 8 bits
  if (route.destination.length != 0) message.putIpv4(RTA_DST, route.destination.address);
  if (route.gateway) message.putIpv4(RTA_GATEWAY, *route.gateway);
  if (index != 0) message.putU32(RTA_OIF, static_cast<std::uint32_t>(index));
  if (route.source) message.putIpv4(RTA_PREFSRC, *route.source);
  if (route.metric != 0) message.putU32(RTA_PRIORITY, route.metric);
  return message;
}

NlMessage ruleMessage(const char* verb, std::uint32_t mark, std::uint32_t table, std::uint16_t type,
                      std::uint16_t flags) {
  fib_rule_hdr head{};
  head.family = AF_INET;
  head.action = FR_ACT_TO_TBL;
  return NlMessage(fmt::format("{} rule fwmark {:#x} lookup {}", verb, mark, table), type, flags,
                   head)
      .putU32(FRA_PRIORITY, kMarkRulePriority)
      .putU32(FRA_FWMARK, mark)
      .putU32(FRA_FWMASK, UINT32_MAX)
      .putU32(FRA_TABLE, table);
}

}  // namespace

const char* toString(RouteType type) {
  switch (type) {
    case RouteType::unicast:
      return "unicast";
    case RouteType::local:
      return "local";
    case RouteType::unreachable:
      return "unreachable";
    case RouteType::blackhole:
      return "blackhole";
    case RouteType::prohibit:
      return "prohibit";
    case RouteType::broadcast:
      return "broadcast";
    case RouteType::other:
      break;
  }
  return "other";
}

Result<Route> parseRoute(Bytes payload) {
  const auto head = readValue<rtmsg>(payload);
  if (!head || head->rtm_family != AF_INET || head->rtm_dst_len > 32)
    return sysError(EBADMSG, "route message malformed");
  const Attributes attributes(afterHeader(payload, sizeof *head));
  Route route;
  route.destination = {attributes.ipv4(RTA_DST).value_or(Ipv4{}), head->rtm_dst_len};
  route.gateway = attributes.ipv4(RTA_GATEWAY);
  route.index = attributes.value<int>(RTA_OIF).value_or(0);
  route.table = attributes.value<std::uint32_t>(RTA_TABLE).value_or(head->rtm_table);
  route.type = ourType(head->rtm_type);
  route.source = attributes.ipv4(RTA_PREFSRC);
  route.metric = attributes.value<std::uint32_t>(RTA_PRIORITY).value_or(0);
  route.protocol = head->rtm_protocol;
  route.onLink = (head->rtm_flags & RTNH_F_ONLINK) != 0;
  return route;
}

Status addRoute(Rtnl& rtnl, const Route& route) {
  ORRERY_TRY_ASSIGN(NlMessage message,
                    routeMessage(rtnl, route, "add", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL));
  return rtnl.request(std::move(message));
}

Status replaceRoute(Rtnl& rtnl, const Route& route) {
  ORRERY_TRY_ASSIGN(NlMessage message, routeMessage(rtnl, route, "replace", RTM_NEWROUTE,
                                                    NLM_F_CREATE | NLM_F_REPLACE));
  return rtnl.request(std::move(message));
}

Status deleteRoute(Rtnl& rtnl, const Route& route) {
  Result<NlMessage> message = routeMessage(rtnl, route, "delete", RTM_DELROUTE, 0);
  // Its routes went with the interface.
  if (!message && message.error().err == ENODEV) return {};
  ORRERY_TRY(message);
  Status s = rtnl.request(std::move(*message));
  if (!s && s.error().err == ESRCH) return {};
  return s;
}

Result<std::vector<Route>> listRoutes(Rtnl& rtnl) {
  std::vector<Route> out;
  rtmsg head{};
  head.rtm_family = AF_INET;
  ORRERY_TRY(rtnl.dump(
      NlMessage("list routes", RTM_GETROUTE, 0, head), [&] { out.clear(); },
      [&](const NlReply& reply) -> Status {
        if (reply.type != RTM_NEWROUTE) return {};
        ORRERY_TRY_ASSIGN(Route route, parseRoute(reply.payload));
        out.push_back(std::move(route));
        return {};
      }));
  return out;
}

namespace {

// A plain rule has the attributes of this list only. (The kernel shows SUPPRESS_PREFIXLEN of every
// rule; -1: off.)
bool isNarrowed(const fib_rule_hdr& head, const Attributes& attributes) {
  if (head.src_len != 0 || head.dst_len != 0 || head.tos != 0 || (head.flags & FIB_RULE_INVERT) != 0)
    return true;
  for (const NlAttribute& attribute : attributes.all()) {
    switch (attribute.type) {
      case FRA_PRIORITY:
      case FRA_FWMARK:
      case FRA_FWMASK:
      case FRA_TABLE:
      case FRA_PROTOCOL:  // who made it
      case FRA_PAD:
        break;
      case FRA_SUPPRESS_PREFIXLEN:
      case FRA_SUPPRESS_IFGROUP:
        if (readValue<std::uint32_t>(attribute.value) != 0xffffffff) return true;
        break;
      default:
        return true;
    }
  }
  return false;
}

}  // namespace

Result<Rule> parseRule(Bytes payload) {
  const auto head = readValue<fib_rule_hdr>(payload);
  if (!head || head->family != AF_INET) return sysError(EBADMSG, "rule message malformed");
  const Attributes attributes(afterHeader(payload, sizeof *head));
  Rule rule;
  rule.priority = attributes.value<std::uint32_t>(FRA_PRIORITY).value_or(0);
  rule.mark = attributes.value<std::uint32_t>(FRA_FWMARK).value_or(0);
  rule.mask = attributes.value<std::uint32_t>(FRA_FWMASK).value_or(0);
  rule.table = attributes.value<std::uint32_t>(FRA_TABLE).value_or(head->table);
  rule.action = head->action;
  rule.narrowed = isNarrowed(*head, attributes);
  return rule;
}

Status addMarkRule(Rtnl& rtnl, std::uint32_t mark, std::uint32_t table) {
  return rtnl.request(ruleMessage("add", mark, table, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL));
}

Status deleteMarkRule(Rtnl& rtnl, std::uint32_t mark, std::uint32_t table) {
  Status s = rtnl.request(ruleMessage("delete", mark, table, RTM_DELRULE, 0));
  if (!s && s.error().err == ENOENT) return {};
  return s;
}

Result<std::vector<Rule>> listRules(Rtnl& rtnl) {
  std::vector<Rule> out;
  fib_rule_hdr head{};
  head.family = AF_INET;
  ORRERY_TRY(rtnl.dump(
      NlMessage("list rules", RTM_GETRULE, 0, head), [&] { out.clear(); },
      [&](const NlReply& reply) -> Status {
        if (reply.type != RTM_NEWRULE) return {};
        ORRERY_TRY_ASSIGN(const Rule rule, parseRule(reply.payload));
        out.push_back(rule);
        return {};
      }));
  return out;
}

}  // namespace orrery
