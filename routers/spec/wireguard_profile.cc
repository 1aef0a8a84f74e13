#include "routers/spec/wireguard_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "routers/spec/field_reader.h"
#include "routers/spec/reader.h"
#include "routers/spec/values.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::uint16_t kDefaultMtu = 1420;  // 1500 less IPv6, UDP and WireGuard's own, as wg-quick

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

// 32 bytes in base64: 43 digits and one '='; the last digit's two low bits are unused and zero.
bool isKey(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() != 44 || text[43] != '=') return false;
  for (const char c : text.substr(0, 43)) {
    if (kDigits.find(c) == std::string_view::npos) return false;
  }
  return kDigits.find(text[42]) % 4 == 0;
}

bool isV6(std::string_view text) {
  return text.find(':') != std::string_view::npos;
}

// wg takes an address without a length as that of one host.
Result<Prefix4> parseAllowed(std::string_view text) {
  if (text.find('/') != std::string_view::npos) return parsePrefix4(text);
  ORRERY_TRY_ASSIGN(const Ipv4 address, parseIpv4(text));
  return Prefix4{address, 32};
}

class ProfileReader {
 public:
  ProfileReader(const std::string& path, const AuxiliaryFile& file, unsigned user)
      : source_(path, file.text), file_(file), user_(user), reporter_(source_, errors_) {
    egress_.profile = path;
    egress_.mtu = kDefaultMtu;
  }

  tl::expected<WireGuardProfile, Diagnostics> read() {
    auto owner = checkOwnership(source_.file(), file_, user_, true);
    if (!owner) reporter_.error(Span{}, owner.error().message);
    if (source_.text().size() > kMaxDefinitionSize) {
      reporter_.error(Span{}, "this is not a WireGuard configuration: too large");
      return tl::unexpected(std::move(errors_));
    }
    for (number_ = 1; number_ <= source_.lineCount(); ++number_) readLine();
    closePeer();
    checkWhole();
    if (!errors_.empty()) return tl::unexpected(std::move(errors_));
    return WireGuardProfile{std::move(egress_), std::move(warnings_)};
  }

 private:
  enum class Section { none, interface, peer, unknown };

  Span span() const {
    const std::string line = source_.line(number_);
    const std::size_t at = line.find_first_not_of(" \t");
    return Span{number_, at == std::string::npos ? 1 : at + 1, trim(line).size()};
  }
  Diagnostic& complain(std::string message) {
    return hidden(reporter_.error(span(), std::move(message)));
  }
  void warn(std::string message) {
    hidden(Reporter(source_, warnings_).warning(span(), std::move(message)));
  }
  // A line that may hold a key is not shown: diagnostics end up in logs and bug reports.
  Diagnostic& hidden(Diagnostic& d) const {
    const std::string text = lower(d.sourceLine);
    const bool harmless = std::any_of(std::begin(kShown), std::end(kShown), [&](const char* key) {
      return trim(text).substr(0, std::string_view(key).size()) == key;
    });
    if (!harmless) d.sourceLine.clear();
    return d;
  }
  static constexpr const char* kShown[] = {"address",
                                           "dns",
                                           "mtu",
                                           "listenport",
                                           "allowedips",
                                           "endpoint",
                                           "persistentkeepalive",
                                           "postup",
                                           "preup",
                                           "table",
                                           "postdown",
                                           "predown",
                                           "fwmark",
                                           "saveconfig",
                                           "[interface]",
                                           "[peer]"};

  void readLine() {
    std::string line = source_.line(number_);
    line = line.substr(0, line.find('#'));
    const std::string_view text = trim(line);
    if (text.empty()) return;
    if (text.front() == '[') return openSection(lower(text));
    const std::size_t equals = text.find('=');
    const std::string_view key = trim(text.substr(0, equals));
    // The '=' may be the end of a key whose own '=' was forgotten: then its name holds a blank.
    if (equals == std::string_view::npos || key.size() > 32 ||
        key.find_first_of(" \t") != std::string_view::npos) {
      complain("this is neither a section nor a setting").expected = "KEY = VALUE";
      return;
    }
    readSetting(std::string(key), trim(text.substr(equals + 1)));
  }

  void openSection(const std::string& name) {
    closePeer();
    section_ = name == "[interface]" ? Section::interface
               : name == "[peer]"    ? Section::peer
                                     : Section::unknown;
    if (section_ == Section::unknown) {
      complain("unknown section").expected = "[Interface] or [Peer]";
    } else if (section_ == Section::peer) {
      peer_.emplace();
      peerSpan_ = span();
      hasEndpoint_ = false;
    }
  }

  void readSetting(const std::string& key, std::string_view value) {
    const std::string name = lower(key);
    for (const char* refused : {"preup", "postup", "predown", "postdown"}) {
      if (name != refused) continue;
      complain(fmt::format("the setting '{}' is refused: it runs a program", key)).hint =
          "remove the line; the router does not need it";
      return;
    }
    for (const char* refused : {"table", "fwmark", "saveconfig"}) {
      if (name != refused) continue;
      complain(fmt::format("the setting '{}' is refused: the router decides it itself", key)).hint =
          "remove the line";
      return;
    }
    if (value.empty()) {
      complain(fmt::format("'{}' has no value", key));
      return;
    }
    switch (section_) {
      case Section::none:
        complain(fmt::format("'{}' stands before the first section", key)).expected = "[Interface]";
        return;
      case Section::interface:
        return readInterface(key, name, value);
      case Section::peer:
        return readPeer(key, name, value);
      case Section::unknown:
        return;
    }
  }

  void readInterface(const std::string& key, const std::string& name, std::string_view value) {
    if (name == "privatekey") {
      readKey(key, value, egress_.privateKey);
    } else if (name == "address") {
      readAddresses(value);
    } else if (name == "dns") {
      readDns(value);
    } else if (name == "mtu") {
      // 576: the least that IPv4 asks for.
      if (const auto mtu = numberOf(key, value, 576, 65535)) egress_.mtu = *mtu;
    } else if (name == "listenport") {
      if (numberOf(key, value, 0, 65535)) warn("'ListenPort' has no effect: a free port is taken");
    } else {
      unknown(key, {"PrivateKey", "Address", "DNS", "MTU", "ListenPort"});
    }
  }

  void readPeer(const std::string& key, const std::string& name, std::string_view value) {
    if (name == "publickey") {
      readKey(key, value, peer_->publicKey);
    } else if (name == "presharedkey") {
      std::string shared;
      readKey(key, value, shared);
      peer_->presharedKey = std::move(shared);
    } else if (name == "allowedips") {
      readAllowedIps(value);
    } else if (name == "endpoint") {
      readEndpoint(value);
    } else if (name == "persistentkeepalive") {
      if (lower(value) == "off") return;
      if (const auto seconds = numberOf(key, value, 0, 65535)) peer_->keepalive = *seconds;
    } else {
      unknown(key, {"PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive"});
    }
  }

  void unknown(const std::string& key, const std::vector<std::string>& known) {
    Diagnostic& d = complain(fmt::format("unknown setting '{}'", key));
    d.expected = join(known, ", ");
    d.hint = didYouMean(key, known);
  }

  void readKey(const std::string& key, std::string_view value, std::string& out) {
    if (!isKey(value)) {
      complain(fmt::format("'{}' is not a key", key)).expected =
          "32 bytes in base64: 44 characters";
      return;
    }
    if (!out.empty()) complain(fmt::format("'{}' is given twice", key));
    out = std::string(value);
  }

  std::optional<std::uint16_t> numberOf(const std::string& key, std::string_view value,
                                        unsigned least, unsigned most) {
    const auto number = parseNumber<unsigned>(value);
    if (number && *number >= least && *number <= most) return static_cast<std::uint16_t>(*number);
    Diagnostic& d = complain(fmt::format("'{}' is not a usable number", key));
    d.expected = fmt::format("a number from {} to {}", least, most);
    d.got = std::string(value);
    return std::nullopt;
  }

  void readAddresses(std::string_view value) {
    for (const std::string_view part : split(value, ',')) {
      const std::string_view text = trim(part);
      if (isV6(text)) {
        warn(fmt::format("the IPv6 address '{}' is left out", text));
        continue;
      }
      const auto address = parseAllowed(text);
      // A tunnel is no network: what is link-local there ends there.
      if (!address || !isUnicastAddress(address->address)) {
        complain(address ? fmt::format("'{}' is no host's address", text) : address.error().message)
            .expected = "the tunnel's own address: 10.64.0.2/32";
      } else if (hasAddress_) {
        complain("the tunnel has more than one IPv4 address").hint = "keep one of them";
      } else {
        egress_.address = *address;
        hasAddress_ = true;
      }
    }
  }

  void readDns(std::string_view value) {
    for (const std::string_view part : split(value, ',')) {
      const std::string_view text = trim(part);
      const bool number = text.find_first_not_of("0123456789.") == std::string_view::npos;
      if (isV6(text)) {
        warn(fmt::format("the IPv6 DNS server '{}' is left out", text));
      } else if (!number) {
        warn(fmt::format("the search domain '{}' is left out", text));
      } else if (const auto server = parseIpv4(text); server && isUnicastAddress(*server)) {
        egress_.dns.push_back(*server);
      } else {
        complain(server ? fmt::format("'{}' is no host's address", text) : server.error().message)
            .expected = "the address of a DNS server";
      }
    }
  }

  void readAllowedIps(std::string_view value) {
    for (const std::string_view part : split(value, ',')) {
      const std::string_view text = trim(part);
      if (isV6(text)) {
        warn(fmt::format("the IPv6 destination '{}' is left out", text));
      } else if (const auto allowed = parseAllowed(text)) {
        peer_->allowedIps.push_back(Prefix4{allowed->network(), allowed->length});
      } else {
        complain(allowed.error().message).expected = "subnets: 0.0.0.0/0 for everything";
      }
    }
  }

  void readEndpoint(std::string_view value) {
    hasEndpoint_ = true;
    const auto endpoint = parseEndpoint(value);
    if (endpoint) {
      peer_->endpoint = *endpoint;
      return;
    }
    const std::string host(value.substr(0, value.rfind(':')));
    Diagnostic& d = complain("");
    d.expected =
        "ADDRESS:PORT with an IPv4 address: a name would have to be resolved outside of "
        "the tunnel";
    if (isV6(host)) {
      d.message =
          fmt::format("the server '{}' is an IPv6 address: tunnels are made over IPv4", host);
    } else if (host.find_first_not_of("0123456789.") == std::string::npos) {
      d.message = endpoint.error().message;
    } else {
      d.message = fmt::format("the server '{}' is a host name", host);
      d.hint = fmt::format("look it up now: getent ahostsv4 {}", host);
    }
  }

  void closePeer() {
    if (!peer_) return;
    const auto complainAbout = [&](const std::string& message, const char* expected) {
      reporter_.error(peerSpan_, message).expected = expected;
    };
    if (peer_->publicKey.empty()) complainAbout("the peer has no 'PublicKey'", "PublicKey = KEY");
    if (!hasEndpoint_) complainAbout("the peer has no 'Endpoint'", "Endpoint = ADDRESS:PORT");
    if (peer_->allowedIps.empty()) {
      complainAbout("the peer has no IPv4 destination in 'AllowedIPs'", "AllowedIPs = 0.0.0.0/0");
    }
    const bool known =
        std::any_of(egress_.peers.begin(), egress_.peers.end(),
                    [&](const WireGuardPeer& p) { return p.publicKey == peer_->publicKey; });
    if (known && !peer_->publicKey.empty()) {
      complainAbout("two peers have the same 'PublicKey'", "a key of its own for each peer");
    }
    egress_.peers.push_back(*std::move(peer_));
    peer_.reset();
  }

  void checkWhole() {
    if (egress_.privateKey.empty() && errors_.empty()) {
      reporter_.error(Span{}, "the profile has no 'PrivateKey'").expected =
          "[Interface] PrivateKey = KEY";
    }
    if (!hasAddress_ && errors_.empty()) {
      reporter_.error(Span{}, "the profile has no IPv4 'Address'").expected =
          "[Interface] Address = 10.64.0.2/32";
    }
    if (egress_.peers.empty())
      reporter_.error(Span{}, "the profile has no peer").expected = "[Peer]";
  }

  Source source_;
  const AuxiliaryFile& file_;
  unsigned user_;
  Diagnostics errors_;
  Diagnostics warnings_;
  Reporter reporter_;
  WireGuardEgress egress_;
  std::size_t number_ = 0;
  Section section_ = Section::none;
  std::optional<WireGuardPeer> peer_;
  Span peerSpan_;
  bool hasEndpoint_ = false;
  bool hasAddress_ = false;
};

}  // namespace

tl::expected<WireGuardProfile, std::vector<Diagnostic>> readWireGuardProfile(
    const std::string& path, const AuxiliaryFile& file, unsigned user) {
  return ProfileReader(path, file, user).read();
}

}  // namespace orrery
