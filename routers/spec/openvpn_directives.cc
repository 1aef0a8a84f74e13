// Grammar: openvpn 2.6, parse_line() and check_inline_file() as described in openvpn(8).
#include "routers/spec/openvpn_directives.h"

#include <fmt/format.h>

#include <map>
#include <string_view>
#include <utility>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxWords = 16;  // openvpn's MAX_PARMS

using Rules = std::map<std::string, OpenVpnRule, std::less<>>;

void addAll(Rules& rules, OpenVpnFate fate, const char* reason, std::string_view names) {
  for (const std::string_view name : splitWords(names)) {
    rules.emplace(std::string(name), OpenVpnRule{fate, reason});
  }
}

// Every name is of openvpn(8) 2.6. A name that is not here is refused as unknown.
Rules makeRules() {
  Rules r;
  addAll(r, OpenVpnFate::keep, "",
         "client tls-client pull nobind remote-random resolv-retry persist-key persist-tun "
         "keepalive ping ping-restart ping-timer-rem auth-nocache auth-retry cipher data-ciphers "
         "data-ciphers-fallback ncp-ciphers ncp-disable auth tls-version-min tls-version-max "
         "tls-cipher tls-ciphersuites tls-groups tls-cert-profile key-direction remote-cert-tls "
         "remote-cert-eku remote-cert-ku verify-x509-name verify-hash peer-fingerprint comp-lzo "
         "comp-noadapt compress allow-compression mssfix fragment tun-mtu tun-mtu-extra "
         "tun-mtu-max link-mtu mtu-disc sndbuf rcvbuf fast-io explicit-exit-notify reneg-sec "
         "reneg-bytes reneg-pkts hand-window tran-window tls-timeout tls-exit connect-retry "
         "connect-retry-max connect-timeout server-poll-timeout float mute-replay-warnings "
         "replay-window no-replay push-peer-info pull-filter passtos topology keysize prng "
         "allow-pull-fqdn");
  addAll(r, OpenVpnFate::drop, "",
         "dev-type verb mute redirect-gateway redirect-private route route-gateway route-metric "
         "route-delay route-method route-nopull route-noexec ifconfig-noexec ifconfig-nowarn "
         "dhcp-option block-outside-dns block-ipv6 register-dns ignore-unknown-option "
         "tun-ipv6 route-ipv6 ip-win32 tap-sleep windows-driver win-sys txqueuelen disable-dco "
         "remote-random-hostname suppress-timestamps machine-readable-output nice");
  addAll(r, OpenVpnFate::special, "",
         "dev proto port rport remote auth-user-pass setenv setenv-safe");
  addAll(r, OpenVpnFate::file, "",
         "ca cert key extra-certs tls-auth tls-crypt tls-crypt-v2 crl-verify");
  addAll(r, OpenVpnFate::refuse, "it runs a program",
         "up down up-delay up-restart down-pre route-up route-pre-down ipchange script-security "
         "tls-verify auth-user-pass-verify client-connect client-disconnect client-crresponse "
         "learn-address iproute plugin tls-export-cert x509-track-script");
  addAll(r, OpenVpnFate::refuse, "it opens a control socket, which the router does itself",
         "management management-client management-query-passwords management-query-proxy "
         "management-query-remote management-forget-disconnect management-hold "
         "management-signal management-log-cache management-up-down management-client-auth "
         "management-client-user management-client-group management-external-key "
         "management-external-cert");
  addAll(r, OpenVpnFate::refuse, "it writes a file, and the router keeps the log",
         "log log-append status status-version writepid syslog tmp-dir replay-persist "
         "ifconfig-pool-persist");
  addAll(r, OpenVpnFate::refuse, "it changes the process, which the sandbox has done already",
         "daemon inetd user group chroot cd setcon mlock rmtun mktun");
  addAll(r, OpenVpnFate::refuse, "it reads another file of directives", "config");
  addAll(r, OpenVpnFate::refuse, "nobody is there to answer a question",
         "askpass auth-user-pass-optional http-proxy-user-pass");
  addAll(r, OpenVpnFate::refuse, "it would lead the tunnel to another address than 'remote'",
         "http-proxy http-proxy-option http-proxy-retry socks-proxy socks-proxy-retry "
         "remote-list connection local lport multihome bind-dev mark vrf");
  addAll(r, OpenVpnFate::refuse, "it loads a library or a token",
         "engine providers pkcs11-providers pkcs11-id pkcs11-id-management cryptoapicert");
  addAll(r, OpenVpnFate::refuse,
         "its format is binary: split it with openssl into ca, cert and key", "pkcs12");
  addAll(r, OpenVpnFate::refuse, "it is for a server, and a galaxy is a client",
         "server server-bridge mode tls-server dh push ifconfig-pool client-config-dir "
         "client-to-client duplicate-cn verify-client-cert port-share");
  addAll(r, OpenVpnFate::refuse, "a static key is not supported by a pulling client",
         "secret ifconfig");
  addAll(r, OpenVpnFate::refuse, "it sets up a tap device or the host", "dev-node lladdr");
  return r;
}

const Rules& rules() {
  static const Rules kRules = makeRules();
  return kRules;
}

bool isBlank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

// The words of one line; nothing if a quote is left open.
std::optional<std::vector<std::string>> wordsOf(std::string_view line) {
  std::vector<std::string> words;
  std::size_t at = 0;
  for (;;) {
    while (at < line.size() && isBlank(line[at])) ++at;
    if (at == line.size() || line[at] == '#' || line[at] == ';') return words;
    std::string word;
    char quote = 0;
    for (; at < line.size() && (quote != 0 || !isBlank(line[at])); ++at) {
      const char c = line[at];
      if (c == '\\' && quote != '\'') {
        if (++at == line.size()) return std::nullopt;
        word += line[at];
      } else if (quote == 0 && word.empty() && (c == '"' || c == '\'')) {
        quote = c;
      } else if (quote != 0 && c == quote) {
        quote = 0;
        ++at;
        break;
      } else {
        word += c;
      }
    }
    if (quote != 0) return std::nullopt;
    words.push_back(std::move(word));
  }
}

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_of(" \t\r\v\f\"'\\#;") == std::string::npos;
  if (plain) return word;
  std::string out = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

class Splitter {
 public:
  Splitter(const Source& source, Diagnostics& errors) : source_(source), errors_(errors) {}

  std::vector<OpenVpnDirective> run() {
    for (number_ = 1; number_ <= source_.lineCount(); ++number_) {
      std::string text = source_.line(number_);
      if (number_ == 1 && text.rfind("\xef\xbb\xbf", 0) == 0) text.erase(0, 3);  // a BOM
      addLine(text);
    }
    return std::move(out_);
  }

 private:
  void addLine(const std::string& text) {
    const auto words = text.size() > kMaxOpenVpnLine ? std::nullopt : wordsOf(text);
    if (!words || words->size() > kMaxWords) {
      Diagnostic& d = complain(number_, "openvpn could not read this line");
      d.expected = fmt::format("{} bytes and {} words at most, every quote closed", kMaxOpenVpnLine,
                               kMaxWords);
      return;
    }
    if (words->empty()) return;
    OpenVpnDirective directive;
    directive.line = number_;
    directive.name = words->front();
    directive.arguments.assign(words->begin() + 1, words->end());
    const std::string& name = directive.name;
    if (name.size() > 2 && name.front() == '<' && name.back() == '>') {
      directive.name = name.substr(1, name.size() - 2);
      if (!directive.arguments.empty()) {
        complain(number_, "a block's tag stands alone on its line");
        return;
      }
      if (!readBlock(directive)) return;
    } else if (name.size() > 2 && name.substr(0, 2) == "--") {
      directive.name = name.substr(2);  // openvpn takes both forms
    }
    out_.push_back(std::move(directive));
  }

  bool readBlock(OpenVpnDirective& directive) {
    const std::string end = "</" + directive.name + ">";
    std::string block;
    while (++number_ <= source_.lineCount()) {
      const std::string text = source_.line(number_);
      if (trim(text) == end) {
        directive.block = std::move(block);
        return true;
      }
      block += text;
      block += '\n';
    }
    complain(directive.line, fmt::format("<{}> is not closed", directive.name)).expected = end;
    return false;
  }

  Diagnostic& complain(std::size_t line, std::string message) {
    errors_.push_back(source_.at(Span{line, 1, source_.line(line).size()}, std::move(message)));
    return errors_.back();
  }

  const Source& source_;
  Diagnostics& errors_;
  std::size_t number_ = 0;
  std::vector<OpenVpnDirective> out_;
};

}  // namespace

std::vector<OpenVpnDirective> splitOpenVpn(const Source& source, Diagnostics& errors) {
  return Splitter(source, errors).run();
}

std::string openVpnLine(const OpenVpnDirective& directive) {
  if (directive.block) {
    return fmt::format("<{}>\n{}</{}>\n", directive.name, *directive.block, directive.name);
  }
  std::string line = directive.name;
  for (const std::string& argument : directive.arguments) line += ' ' + quoted(argument);
  return line + '\n';
}

bool isOpenVpnBlock(const std::string& name, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return false;
  for (const std::string_view line : split(text, '\n')) {
    if (line.size() > kMaxOpenVpnLine || line.find("</" + name) != std::string_view::npos) {
      return false;
    }
  }
  return true;
}

OpenVpnRule openVpnRule(const std::string& name) {
  const auto found = rules().find(name);
  return found == rules().end() ? OpenVpnRule{} : found->second;
}

std::vector<std::string> knownOpenVpnNames() {
  std::vector<std::string> names;
  for (const auto& [name, rule] : rules()) {
    if (rule.fate != OpenVpnFate::refuse) names.push_back(name);
  }
  return names;
}

}  // namespace orrery
