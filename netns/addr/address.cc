#include "netns/addr/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace orrery {
namespace {

ifaddrmsg headerFor(int index, const Prefix4& address) {
  ifaddrmsg head{};
  head.ifa_family = AF_INET;
  head.ifa_prefixlen = address.length;
  head.ifa_scope = RT_SCOPE_UNIVERSE;
  head.ifa_index = static_cast<std::uint32_t>(index);
  return head;
}

Result<std::vector<Address>> dumpAddresses(Rtnl& rtnl, int index, const std::string& label) {
  std::vector<Address> out;
  ifaddrmsg head{};
  head.ifa_family = AF_INET;
  head.ifa_index = static_cast<std::uint32_t>(index);  // 0: all; else the kernel filters
  ORRERY_TRY(rtnl.dump(
      NlMessage(label, RTM_GETADDR, 0, head), [&] { out.clear(); },
      [&](const NlReply& reply) -> Status {
        if (reply.type != RTM_NEWADDR) return {};
        ORRERY_TRY_ASSIGN(const Address address, parseAddress(reply.payload));
        out.push_back(address);
        return {};
      }));
  return out;
}

}  // namespace

Result<Address> parseAddress(Bytes payload) {
  const auto head = readValue<ifaddrmsg>(payload);
  if (!head || head->ifa_family != AF_INET || head->ifa_prefixlen > 32)
    return sysError(EBADMSG, "address message malformed");
  const Attributes attributes(afterHeader(payload, sizeof *head));
  const auto far = attributes.ipv4(IFA_ADDRESS);
  const auto local = attributes.ipv4(IFA_LOCAL);
  if (!far && !local) return sysError(EBADMSG, "address message without an address");
  Address address;
  address.index = static_cast<int>(head->ifa_index);
  address.address = {local ? *local : *far, head->ifa_prefixlen};
  if (far && local && *far != *local) address.peer = far;
  address.scope = head->ifa_scope;
  const auto flags = attributes.value<std::uint32_t>(IFA_FLAGS).value_or(head->ifa_flags);
  address.noPrefixRoute = (flags & IFA_F_NOPREFIXROUTE) != 0;
  return address;
}

Status addAddress(Rtnl& rtnl, const IfName& interface, const Prefix4& address,
                  const AddressOptions& options) {
  const std::string label =
      fmt::format("add address {} to '{}'", toString(address), interface.str());
  const Result<int> index = rtnl.indexOf(interface);
  if (!index) return wrap(index.error(), "{}", label);
  ifaddrmsg head = headerFor(*index, address);
  head.ifa_scope = options.scope;
  NlMessage message(label, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, head);
  message.putIpv4(IFA_LOCAL, address.address)
      .putIpv4(IFA_ADDRESS, options.peer.value_or(address.address));
  // /31 and /32 have no broadcast address (RFC 3021).
  if (!options.peer && address.length < 31) message.putIpv4(IFA_BROADCAST, address.broadcast());
  if (options.noPrefixRoute) message.putU32(IFA_FLAGS, IFA_F_NOPREFIXROUTE);
  return rtnl.request(std::move(message));
}

Status deleteAddress(Rtnl& rtnl, const IfName& interface, const Prefix4& address) {
  const std::string label =
      fmt::format("delete address {} of '{}'", toString(address), interface.str());
  const Result<int> index = rtnl.indexOf(interface);
  if (!index && index.error().err == ENODEV) return {};
  if (!index) return wrap(index.error(), "{}", label);
  Status s = rtnl.request(NlMessage(label, RTM_DELADDR, 0, headerFor(*index, address))
                              .putIpv4(IFA_LOCAL, address.address));
  if (!s && (s.error().err == EADDRNOTAVAIL || s.error().err == ENODEV)) return {};
  return s;
}

Result<std::vector<Address>> listAddresses(Rtnl& rtnl) {
  return dumpAddresses(rtnl, 0, "list addresses");
}

Result<std::vector<Address>> listAddresses(Rtnl& rtnl, const IfName& interface) {
  const std::string label = fmt::format("list addresses of '{}'", interface.str());
  const Result<int> index = rtnl.indexOf(interface);
  if (!index) return wrap(index.error(), "{}", label);
  return dumpAddresses(rtnl, *index, label);
}

}  // namespace orrery
