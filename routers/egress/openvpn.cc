#include "routers/egress/address_check.h"
#include "routers/egress/tunnel_facts.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxPush = 16384;  // bytes; OpenVPN joins push continuations itself
constexpr std::size_t kMaxServers = 4;
constexpr std::uint16_t kMinMtu = 576;  // RFC 791: what every host must take

struct Ifconfig {
  Ipv4 local;
  Ipv4 second;  // a netmask (topology subnet) or the peer's address (net30, p2p)
};

Result<Ifconfig> parseIfconfig(const std::vector<std::string_view>& words) {
  if (words.size() != 3) return error("'ifconfig' with {} arguments", words.size() - 1);
  Ifconfig result;
  ORRERY_TRY_ASSIGN(result.local, parseIpv4(words[1]));
  ORRERY_TRY_ASSIGN(result.second, parseIpv4(words[2]));
  return result;
}

}  // namespace

Result<TunnelFacts> parsePushReply(std::string_view reply) {
  if (reply.size() > kMaxPush) return error("a push of {} bytes is too long", reply.size());
  std::optional<Ifconfig> ifconfig;
  bool subnet = false;
  TunnelFacts facts;
  for (const std::string_view option : split(reply, ',')) {
    const auto words = splitWords(option);
    if (words.empty()) continue;
    if (words[0] == "ifconfig") {
      ORRERY_TRY_ASSIGN(ifconfig, parseIfconfig(words));
    } else if (words[0] == "topology" && words.size() == 2) {
      subnet = words[1] == "subnet";
    } else if (words[0] == "dhcp-option" && words.size() == 3 && words[1] == "DNS") {
      const auto server = parseIpv4(words[2]);  // an IPv6 resolver is of no use here
      if (server && facts.dns.size() < kMaxServers) facts.dns.push_back(*server);
    } else if (words[0] == "tun-mtu" && words.size() == 2) {
      facts.mtu = parseNumber<std::uint16_t>(words[1]);
    }
  }
  if (!ifconfig) return error("the server pushed no address (no 'ifconfig')");
  const auto length = subnet ? lengthOfMask(ifconfig->second) : std::uint8_t{32};
  if (!length) return error("'{}' is no netmask", toString(ifconfig->second));
  facts.address = Prefix4{ifconfig->local, *length};
  return facts;
}

Status checkTunnel(const TunnelFacts& facts, const std::vector<Prefix4>& ownSubnets) {
  ORRERY_TRY(checkLinkAddress(facts.address, ownSubnets));
  if (facts.mtu && (*facts.mtu < kMinMtu || *facts.mtu > 9000))
    return error("an MTU of {} is out of range ({} to 9000)", *facts.mtu, kMinMtu);
  for (const Ipv4 server : facts.dns)
    if (!isUsableHost(server)) return error("resolver {} is no host", toString(server));
  return {};
}

ManagementEvent parseManagementLine(std::string_view line) {
  using Kind = ManagementEvent::Kind;
  const auto after = [&](std::string_view prefix) { return line.substr(prefix.size()); };
  const auto event = [](Kind kind, std::string_view text) {
    return ManagementEvent{kind, std::string(text)};
  };
  if (line.starts_with(">HOLD:")) return event(Kind::hold, {});
  if (line.starts_with(">PASSWORD:Need ")) return event(Kind::passwordWanted, {});
  if (line.starts_with(">PASSWORD:Verification Failed")) return event(Kind::authFailed, line);
  if (line.starts_with(">FATAL:")) return event(Kind::fatal, after(">FATAL:"));
  if (line.starts_with(">STATE:")) {
    // TIME,STATE,DETAIL,OUR ADDRESS,SERVER'S ADDRESS,PORT,…
    const auto fields = split(after(">STATE:"), ',');
    ManagementEvent state = event(Kind::state, fields.size() > 1 ? fields[1] : std::string_view{});
    if (fields.size() < 6) return state;
    if (const auto remote = parseIpv4(fields[4])) state.remote = *remote;
    state.port = parseNumber<std::uint16_t>(fields[5]).value_or(0);
    return state;
  }
  if (line.starts_with(">LOG:")) {
    // >LOG:TIME,FLAGS,MESSAGE; the message may hold commas.
    std::string_view rest = after(">LOG:");
    for (int skipped = 0; skipped < 2; ++skipped) {
      const std::size_t at = rest.find(',');
      if (at == std::string_view::npos) return event(Kind::other, {});
      rest.remove_prefix(at + 1);
    }
    constexpr std::string_view kPush = "PUSH: Received control message: 'PUSH_REPLY,";
    if (rest.starts_with(kPush)) {
      rest.remove_prefix(kPush.size());
      return event(Kind::pushReply, rest.substr(0, rest.rfind('\'')));
    }
    return event(Kind::log, rest);
  }
  return event(Kind::other, line);
}

}  // namespace orrery
