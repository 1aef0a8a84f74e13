#include <map>

#include "routers/egress/address_check.h"
#include "routers/egress/tunnel_facts.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

using Fields = std::map<std::string, std::string, std::less<>>;

constexpr std::size_t kMaxServers = 4;

Result<LeaseEventKind> eventKind(std::string_view name) {
  if (name == "deconfig") return LeaseEventKind::deconfig;
  if (name == "bound") return LeaseEventKind::bound;
  if (name == "renew") return LeaseEventKind::renewed;
  if (name == "nak") return LeaseEventKind::refused;
  if (name == "leasefail") return LeaseEventKind::failed;
  return error("unknown lease event '{}'", name.substr(0, 32));
}

std::string_view field(const Fields& fields, std::string_view name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string_view{} : std::string_view(found->second);
}

Result<std::uint8_t> maskLength(std::string_view text) {
  ORRERY_TRY_ASSIGN(const Ipv4 mask, parseIpv4(text));
  const auto length = lengthOfMask(mask);
  if (!length) return error("'{}' is no netmask", text);
  return *length;
}

Result<Lease> leaseFrom(const Fields& fields) {
  Lease lease;
  auto address = parseIpv4(field(fields, "ip"));
  if (!address) return wrap(std::move(address).error(), "lease without an address");
  auto length = maskLength(field(fields, "subnet"));
  if (!length) return wrap(std::move(length).error(), "lease without a usable netmask");
  lease.address = Prefix4{*address, *length};
  const auto gateways = splitWords(field(fields, "router"));
  if (!gateways.empty()) {
    ORRERY_TRY_ASSIGN(lease.gateway, parseIpv4(gateways.front()));
  }
  for (const std::string_view word : splitWords(field(fields, "dns"))) {
    if (lease.dns.size() == kMaxServers) break;
    ORRERY_TRY_ASSIGN(const Ipv4 server, parseIpv4(word));
    lease.dns.push_back(server);
  }
  lease.duration =
      std::chrono::seconds(parseNumber<std::uint32_t>(field(fields, "lease")).value_or(0));
  return lease;
}

}  // namespace

Result<LeaseEvent> parseLeaseEvent(std::string_view message) {
  if (message.size() > kMaxLeaseMessage)
    return error("lease message of {} bytes, at most {} taken", message.size(), kMaxLeaseMessage);
  const auto parts = split(message, '\0');
  LeaseEvent event;
  ORRERY_TRY_ASSIGN(event.kind, eventKind(parts.front()));
  Fields fields;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::size_t at = parts[i].find('=');
    if (at != std::string_view::npos)
      fields.emplace(std::string(parts[i].substr(0, at)), std::string(parts[i].substr(at + 1)));
  }
  if (event.kind == LeaseEventKind::bound || event.kind == LeaseEventKind::renewed) {
    ORRERY_TRY_ASSIGN(event.lease, leaseFrom(fields));
  }
  return event;
}

Status checkLease(const Lease& lease, const std::vector<Prefix4>& ownSubnets) {
  ORRERY_TRY(checkLinkAddress(lease.address, ownSubnets));
  if (lease.gateway && (!lease.address.contains(*lease.gateway) ||
                        *lease.gateway == lease.address.address || !isUsableHost(*lease.gateway)))
    return error("gateway {} is not another host of {}", toString(*lease.gateway),
                 toString(lease.address));
  for (const Ipv4 server : lease.dns)
    if (!isUsableHost(server)) return error("resolver {} is no host", toString(server));
  return {};
}

}  // namespace orrery
