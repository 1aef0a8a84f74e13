#include "routers/spec/openvpn_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "routers/spec/field_reader.h"
#include "routers/spec/openvpn_directives.h"
#include "routers/spec/reader.h"
#include "routers/spec/values.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::uint16_t kDefaultPort = 1194;  // openvpn(8), --port

// "udp", "tcp-client" and the like; nothing for those of IPv6, of servers and unknown ones.
std::optional<bool> isTcp(const std::string& protocol) {
  if (protocol == "udp" || protocol == "udp4") return false;
  if (protocol == "tcp" || protocol == "tcp4" || protocol == "tcp-client" ||
      protocol == "tcp4-client") {
    return true;
  }
  return std::nullopt;
}

bool isSecret(const std::string& name) {
  return name == "key" || name == "tls-auth" || name == "tls-crypt" || name == "tls-crypt-v2" ||
         name == "auth-user-pass";
}

class ProfileReader {
 public:
  ProfileReader(const std::string& path, const AuxiliaryFile& file, const AuxiliaryFiles& auxiliary,
                const std::optional<std::string>& auth)
      : source_(path, file.text), file_(file), auxiliary_(auxiliary), reporter_(source_, errors_) {
    egress_.profile = path;
    egress_.auth = auth;
    authGiven_ = auth.has_value();
  }

  tl::expected<OpenVpnProfile, Diagnostics> read() {
    if (source_.text().size() > kMaxDefinitionSize ||
        source_.text().find('\0') != std::string::npos) {
      reporter_.error(Span{1, 1, 1}, "this is not an .ovpn file: too large, or not a text");
      return tl::unexpected(std::move(errors_));
    }
    const auto directives = splitOpenVpn(source_, errors_);
    for (const OpenVpnDirective& directive : directives) readDefaults(directive);
    for (const OpenVpnDirective& directive : directives) readDirective(directive);
    checkWhole();
    if (!errors_.empty()) return tl::unexpected(std::move(errors_));
    egress_.text = std::move(text_);
    return OpenVpnProfile{std::move(egress_), std::move(warnings_)};
  }

 private:
  Span spanOf(const OpenVpnDirective& directive) const {
    const std::string line = source_.line(directive.line);
    const std::size_t at = line.find_first_not_of(" \t");
    return Span{directive.line, at == std::string::npos ? 1 : at + 1, trim(line).size()};
  }
  Diagnostic& complain(const OpenVpnDirective& directive, std::string message) {
    return reporter_.error(spanOf(directive), std::move(message));
  }
  void warn(const OpenVpnDirective& directive, std::string message) {
    Reporter(source_, warnings_).warning(spanOf(directive), std::move(message));
  }

  // A block that openvpn would end earlier than we do, or a line that it would read as two, could
  // smuggle a directive past the list.
  void emit(const OpenVpnDirective& d) {
    const std::string line = openVpnLine(d);
    if (d.block && !isOpenVpnBlock(d.name, *d.block)) {
      complain(d, fmt::format("what '{}' holds is not a PEM text", d.name)).expected =
          fmt::format("lines of {} bytes at most, no tag among them", kMaxOpenVpnLine);
    } else if (!d.block && line.size() > kMaxOpenVpnLine + 1) {
      complain(d, "the line is too long for openvpn once it is quoted");
    } else {
      text_ += line;
    }
  }

  // Port and protocol may stand below the remotes that they apply to.
  void readDefaults(const OpenVpnDirective& d) {
    if (d.name == "port" || d.name == "rport") {
      if (const auto port = portOf(d, 0)) port_ = *port;
    } else if (d.name == "proto") {
      if (const auto tcp = protocolOf(d, 0)) tcp_ = *tcp;
    }
  }

  void readDirective(const OpenVpnDirective& d) {
    const OpenVpnRule rule = openVpnRule(d.name);
    const bool blockAllowed = rule.fate == OpenVpnFate::file || d.name == "auth-user-pass";
    if (d.block && !blockAllowed && rule.fate != OpenVpnFate::refuse) {
      complain(d, fmt::format("<{}> is not a block that a client's profile has", d.name));
      return;
    }
    switch (rule.fate) {
      case OpenVpnFate::keep:
        emit(d);
        break;
      case OpenVpnFate::drop:
        break;
      case OpenVpnFate::special:
        readSpecial(d);
        break;
      case OpenVpnFate::file:
        readKeyMaterial(d);
        break;
      case OpenVpnFate::refuse:
        complain(d, fmt::format("the directive '{}' is refused: {}", d.name, rule.reason)).hint =
            refusalHint(d.name);
        break;
      case OpenVpnFate::unknown:
        readUnknown(d);
        break;
    }
  }

  // What does not even look like a directive may be a key whose tag is missing: it is not shown.
  void readUnknown(const OpenVpnDirective& d) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    if (d.name.size() > 40 || d.name.front() == '-' ||
        d.name.find_first_not_of(kLetters) != std::string::npos) {
      Diagnostic& problem = complain(d, "this line is not a directive");
      problem.sourceLine.clear();
      problem.hint = "is the tag of an inline block missing, <key> for example?";
      return;
    }
    complain(d, fmt::format("unknown directive '{}'", d.name)).hint = unknownHint(d.name);
  }

  static std::string refusalHint(const std::string& name) {
    if (name == "connection") return "write one 'remote ADDRESS PORT PROTOCOL' line for each block";
    if (name == "askpass")
      return "store the key without a passphrase: openssl pkey -in KEY -out KEY";
    if (name.find("-proxy") != std::string::npos) {
      return "for a proxy, put a galaxy with a socks5 egress below this one";
    }
    return "remove the line; the router does not need it";
  }
  static std::string unknownHint(const std::string& name) {
    const std::string near = didYouMean(name, knownOpenVpnNames());
    return near.empty() ? "only known directives are taken: remove the line" : near;
  }

  void readSpecial(const OpenVpnDirective& d) {
    if (d.name == "dev") return readDevice(d);
    if (d.name == "remote") return readRemote(d);
    if (d.name == "auth-user-pass") return readAuth(d);
    if (d.name == "setenv" || d.name == "setenv-safe") return readSetenv(d);
  }

  void readDevice(const OpenVpnDirective& d) {
    hasDevice_ = true;
    const std::string name = d.arguments.empty() ? "" : d.arguments[0];
    const bool tun =
        name.rfind("tun", 0) == 0 && name.find_first_not_of("0123456789", 3) == std::string::npos;
    if (tun) return;
    Diagnostic& problem = complain(d, "only a tun device is supported");
    problem.expected = "dev tun";
    problem.hint = "a tap device would put this network's Ethernet in front of the provider";
  }

  void readRemote(const OpenVpnDirective& d) {
    if (d.arguments.empty() || d.arguments.size() > 3) {
      complain(d, "'remote' takes one to three words").expected =
          "remote ADDRESS [PORT [PROTOCOL]]";
      return;
    }
    const std::string& host = d.arguments[0];
    if (host.find(':') != std::string::npos) {
      warn(d, fmt::format("the IPv6 server '{}' is left out: tunnels are made over IPv4", host));
      return;
    }
    const auto address = parseHostAddress(host);
    if (!address) {
      const bool number = host.find_first_not_of("0123456789.") == std::string::npos;
      Diagnostic& problem =
          complain(d, number ? address.error().message
                             : fmt::format("the server '{}' is a host name", host));
      problem.expected = "an IPv4 address: a name would have to be resolved outside of the tunnel";
      if (!number) problem.hint = fmt::format("look it up now: getent ahostsv4 {}", host);
      return;
    }
    const auto port = d.arguments.size() > 1 ? portOf(d, 1) : port_;
    const auto tcp = d.arguments.size() > 2 ? protocolOf(d, 2) : tcp_;
    if (!port || !tcp) return;
    egress_.remotes.push_back(Endpoint{*address, *port, *tcp});
    text_ += fmt::format("remote {} {} {}\n", host, *port, *tcp ? "tcp4-client" : "udp4");
  }

  std::optional<std::uint16_t> portOf(const OpenVpnDirective& d, std::size_t index) {
    const auto port =
        index < d.arguments.size() ? parseNumber<std::uint16_t>(d.arguments[index]) : std::nullopt;
    if (port && *port != 0) return port;
    complain(d, fmt::format("'{}' has no usable port", d.name)).expected =
        "a number from 1 to 65535";
    return std::nullopt;
  }

  std::optional<bool> protocolOf(const OpenVpnDirective& d, std::size_t index) {
    const auto tcp = index < d.arguments.size() ? isTcp(d.arguments[index]) : std::nullopt;
    if (tcp) return tcp;
    complain(d, fmt::format("'{}' has no usable protocol", d.name)).expected =
        "udp, udp4, tcp, tcp4, tcp-client or tcp4-client";
    return std::nullopt;
  }

  void readAuth(const OpenVpnDirective& d) {
    authWanted_ = true;
    authLine_ = d;
    if (authGiven_) return;  // the definition's own file wins
    if (d.block) {
      requireSecretProfile(d);
      emit(d);
      authInline_ = true;
    } else if (!d.arguments.empty()) {
      const std::string path = resolvePath(source_.file(), d.arguments[0]);
      if (readFile(d, path)) egress_.auth = path;
    }
  }

  // Environment for scripts does nothing here; UV_… is sent to the server; `opt` is a directive.
  void readSetenv(const OpenVpnDirective& d) {
    const std::string name = d.arguments.empty() ? "" : d.arguments[0];
    if (name.rfind("UV_", 0) == 0) {
      emit(d);
    } else if (name == "opt" && d.arguments.size() > 1) {
      OpenVpnDirective inner = d;
      inner.name = d.arguments[1];
      inner.arguments.erase(inner.arguments.begin(), inner.arguments.begin() + 2);
      // "opt" means: leave it out if it is not known.
      if (openVpnRule(inner.name).fate != OpenVpnFate::unknown) readDirective(inner);
    } else if (name != "CLIENT_CERT" && name != "FORWARD_COMPATIBLE" && name != "FRIENDLY_NAME" &&
               name != "GENERIC_CONFIG") {
      complain(d, fmt::format("'setenv {}' is refused: it sets the environment of programs", name))
          .hint = "remove the line; the router runs no script";
    }
  }

  void readKeyMaterial(const OpenVpnDirective& d) {
    if (d.block) {
      if (isSecret(d.name)) requireSecretProfile(d);
      emit(d);
      return;
    }
    if (d.arguments.empty()) {
      complain(d, fmt::format("'{}' names no file", d.name)).expected =
          "a path, or an inline block";
      return;
    }
    auto content = readFile(d, resolvePath(source_.file(), d.arguments[0]));
    if (!content) return;
    if (!content->empty() && content->back() != '\n') *content += '\n';
    OpenVpnDirective block = d;
    block.block = *std::move(content);
    emit(block);
    if (d.name == "tls-auth" && d.arguments.size() > 1) {
      OpenVpnDirective direction;
      direction.name = "key-direction";
      direction.arguments = {d.arguments[1]};
      emit(direction);
    }
  }

  std::optional<std::string> readFile(const OpenVpnDirective& d, const std::string& path) {
    auto file = auxiliary_.read(path);
    if (!file) {
      complain(d, fmt::format("'{}' cannot be read: {}", d.name, file.error().message)).hint =
          fmt::format("relative paths are relative to the profile: this is {}", path);
      return std::nullopt;
    }
    if (auto owner = checkOwnership(path, *file, auxiliary_.user(), isSecret(d.name)); !owner) {
      complain(d, owner.error().message);
      return std::nullopt;
    }
    return std::move(file->text);
  }

  // Reported once, at the first secret.
  void requireSecretProfile(const OpenVpnDirective& d) {
    if (std::exchange(secretChecked_, true)) return;
    auto owner = checkOwnership(source_.file(), file_, auxiliary_.user(), true);
    if (!owner) complain(d, owner.error().message);
  }

  void checkWhole() {
    auto owner = checkOwnership(source_.file(), file_, auxiliary_.user(), false);
    if (!owner && !secretChecked_) reporter_.error(Span{}, owner.error().message);
    const bool remoteFailed = std::any_of(errors_.begin(), errors_.end(), [](const Diagnostic& d) {
      return d.sourceLine.find("remote") != std::string::npos;
    });
    if (egress_.remotes.empty() && !remoteFailed) {
      reporter_.error(Span{}, "the profile names no server that can be used").expected =
          "at least one line: remote ADDRESS PORT";
    }
    if (!hasDevice_) reporter_.error(Span{}, "the profile names no device").expected = "dev tun";
    if (authWanted_ && !authInline_ && !egress_.auth && authLine_.arguments.empty()) {
      Diagnostic& d = complain(authLine_, "the server wants a user and a password");
      d.expected = "'auth' beside 'profile' in the definition: a file with two lines, mode 0600";
    }
  }

  Source source_;
  const AuxiliaryFile& file_;
  const AuxiliaryFiles& auxiliary_;
  Diagnostics errors_;
  Diagnostics warnings_;
  Reporter reporter_;
  OpenVpnEgress egress_;
  std::string text_;
  std::uint16_t port_ = kDefaultPort;
  bool tcp_ = false;
  bool authGiven_ = false;
  bool authWanted_ = false;
  bool authInline_ = false;
  OpenVpnDirective authLine_;
  bool hasDevice_ = false;
  bool secretChecked_ = false;
};

}  // namespace

tl::expected<OpenVpnProfile, std::vector<Diagnostic>> readOpenVpnProfile(
    const std::string& path, const AuxiliaryFile& file, const AuxiliaryFiles& auxiliary,
    const std::optional<std::string>& auth) {
  return ProfileReader(path, file, auxiliary, auth).read();
}

}  // namespace orrery
