#include "routers/egress/address_check.h"

#include "netns/addr/special.h"

namespace orrery {

bool isUsableHost(Ipv4 address) {
  return !isNeverForwardedTo(address);
}

std::optional<std::uint8_t> lengthOfMask(Ipv4 mask) {
  const std::uint32_t inverted = ~mask.value;
  if ((inverted & (inverted + 1)) != 0) return std::nullopt;
  std::uint8_t length = 0;
  while (length < 32 && ((mask.value >> (31 - length)) & 1) != 0) ++length;
  return length;
}

Status checkLinkAddress(const Prefix4& address, const std::vector<Prefix4>& ownSubnets) {
  if (!isUsableHost(address.address))
    return error("address {} is not one that a host can have", toString(address));
  if (address.length < 8) return error("a prefix of {} bits is too wide", address.length);
  const bool hasHosts = address.length < 31;
  if (hasHosts && (address.address == address.network() || address.address == address.broadcast()))
    return error("address {} is its subnet's own", toString(address));
  for (const Prefix4& own : ownSubnets)
    if (own.overlaps(address))
      return error("address {} overlaps our own subnet {}", toString(address), toString(own));
  return {};
}

}  // namespace orrery
