// The directives of an .ovpn file, cut into words, and what becomes of each.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routers/spec/diagnostic.h"
#include "routers/spec/toml_document.h"

namespace orrery {

struct OpenVpnDirective {
  std::string name;
  std::vector<std::string> arguments;
  std::optional<std::string> block;  // the text of <name> … </name>
  std::size_t line = 0;
};

// Words by openvpn's rules: blanks part them, "…" and '…' hold them together, '\' takes the next
// byte as it is (not within '…'), '#' and ';' begin a comment. Faults are appended to `errors`.
std::vector<OpenVpnDirective> splitOpenVpn(const Source& source, Diagnostics& errors);

// openvpn reads pieces of 255 bytes with the line end: what is beyond would count as a new line,
// and so as a new directive.
inline constexpr std::size_t kMaxOpenVpnLine = 254;

// True if openvpn, too, would see the whole text as the inside of <name>: it ends a block at any
// line that begins with the closing tag, whatever follows.
bool isOpenVpnBlock(const std::string& name, std::string_view text);

// The directive as a line of a configuration; words are quoted where they need it.
std::string openVpnLine(const OpenVpnDirective& directive);

enum class OpenVpnFate {
  keep,     // goes into the result as it is
  drop,     // harmless, but the router decides this itself
  special,  // read by openvpn_profile.cc
  file,     // key material: inline or a path
  refuse,
  unknown,
};
struct OpenVpnRule {
  OpenVpnFate fate = OpenVpnFate::unknown;
  const char* reason = "";  // for refuse: what the directive does
};
OpenVpnRule openVpnRule(const std::string& name);
// The names that are not refused, for "did you mean".
std::vector<std::string> knownOpenVpnNames();

}  // namespace orrery
