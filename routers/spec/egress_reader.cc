#include "routers/spec/egress_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "routers/spec/openvpn_profile.h"
#include "routers/spec/torrc_extras.h"
#include "routers/spec/values.h"
#include "routers/spec/wireguard_profile.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

const std::vector<std::string> kTypes = {"direct", "openvpn", "wireguard", "tor", "socks5"};

std::vector<std::string> typesOf(Kind kind) {
  switch (kind) {
    case Kind::universe:
      return {"direct"};
    case Kind::galaxy:
      return {"wireguard", "openvpn", "socks5", "direct"};
    case Kind::star:
      return {"tor"};
  }
  return {};
}

std::vector<std::string> keysOf(const std::string& type) {
  if (type == "openvpn") return {"type", "profile", "auth"};
  if (type == "wireguard") return {"type", "profile"};
  if (type == "tor") return {"type", "torrc"};
  if (type == "socks5") return {"type", "server", "auth"};
  return {"type"};
}

Result<std::string> parsePath(std::string_view text) {
  if (text.empty()) return error("a path is empty");
  if (text.find('\n') != std::string_view::npos) return error("a path has a line break in it");
  return std::string(text);
}

class EgressReader {
 public:
  EgressReader(const EgressContext& context, const std::string& type, const Node& table,
               const AuxiliaryFiles& auxiliary, Reporter& reporter)
      : auxiliary_(auxiliary),
        reporter_(reporter),
        fields_(table, table.span, titleOf(context, type), KeyList{keysOf(type)}, reporter) {}

  std::optional<EgressSpec> openVpn() {
    const auto auth = secretFile("auth");
    const auto profile = namedFile("profile", true);
    if (!profile) return std::nullopt;
    return take(readOpenVpnProfile(profile->path, profile->file, auxiliary_, auth),
                [](OpenVpnProfile& read) -> EgressSpec { return std::move(read.egress); });
  }

  std::optional<EgressSpec> wireGuard() {
    const auto profile = namedFile("profile", true);
    if (!profile) return std::nullopt;
    return take(readWireGuardProfile(profile->path, profile->file, auxiliary_.user()),
                [](WireGuardProfile& read) -> EgressSpec { return std::move(read.egress); });
  }

  std::optional<EgressSpec> tor() {
    TorEgress egress;
    if (fields_.optional("torrc") == nullptr) return egress;
    const auto torrc = namedFile("torrc", false);
    if (!torrc) return std::nullopt;
    auto extras = readTorrcExtras(torrc->path, torrc->file, auxiliary_.user());
    if (!extras) return fail(std::move(extras).error());
    egress.torrc = torrc->path;
    egress.extra = *std::move(extras);
    return egress;
  }

  std::optional<EgressSpec> socks5() {
    Socks5Egress egress;
    egress.auth = secretFile("auth");
    const auto server = fields_.requiredText(
        "server", parseEndpoint,
        "\"ADDRESS:PORT\" of the SOCKS5 server: an IPv4 address, for a name would be looked up "
        "outside of it");
    if (!server) return std::nullopt;
    egress.server = *server;
    egress.server.tcp = true;
    return egress;
  }

 private:
  struct NamedFile {
    std::string path;
    AuxiliaryFile file;
  };

  static std::string titleOf(const EgressContext& context, const std::string& type) {
    return fmt::format("the egress of {} (type {})", context.title, type);
  }

  std::optional<NamedFile> namedFile(const std::string& key, bool needed) {
    constexpr const char* kWanted = "a path, absolute or relative to this file";
    const auto text = needed ? fields_.requiredText(key, parsePath, kWanted)
                             : fields_.text(key, parsePath, kWanted);
    if (!text) return std::nullopt;
    NamedFile named;
    named.path = resolvePath(reporter_.source().file(), *text);
    auto file = auxiliary_.read(named.path);
    if (!file) {
      Diagnostic& d =
          reporter_.error(fields_.optional(key)->span,
                          fmt::format("'{}' cannot be read: {}", key, file.error().message));
      d.hint = fmt::format("relative paths are relative to the definition: this is {}", named.path);
      return std::nullopt;
    }
    named.file = *std::move(file);
    return named;
  }

  // A user/password file: two lines, mode 0600.
  std::optional<std::string> secretFile(const std::string& key) {
    auto named = namedFile(key, false);
    if (!named) return std::nullopt;
    const Span& span = fields_.optional(key)->span;
    if (auto owner = checkOwnership(named->path, named->file, auxiliary_.user(), true); !owner) {
      reporter_.error(span, owner.error().message);
    }
    const auto lines = split(trim(named->file.text), '\n');
    if (lines.size() != 2 || trim(lines[0]).empty() || trim(lines[1]).empty()) {
      reporter_.error(span, fmt::format("'{}' is not a user/password file", named->path)).expected =
          "two lines: the user's name, the password";
    }
    return std::move(named->path);
  }

  std::optional<EgressSpec> fail(Diagnostics errors) {
    for (Diagnostic& d : errors) reporter_.list().push_back(std::move(d));
    return std::nullopt;
  }

  template <class Read, class Get>
  std::optional<EgressSpec> take(Read read, Get get) {
    if (!read) return fail(std::move(read).error());
    for (Diagnostic& d : read->warnings) reporter_.list().push_back(std::move(d));
    return get(*read);
  }

  const AuxiliaryFiles& auxiliary_;
  Reporter& reporter_;
  FieldReader fields_;
};

std::optional<EgressSpec> defaultEgress(const EgressContext& context, Reporter& reporter) {
  if (context.kind == Kind::universe) return DirectEgress{};
  if (context.kind == Kind::star) return TorEgress{};
  Diagnostic& d = reporter.error(
      context.router, fmt::format("{} does not say by which egress it leaves", context.title));
  d.expected = "a table 'egress' with type = \"wireguard\", \"openvpn\", \"socks5\" or \"direct\"";
  return std::nullopt;
}

// The type, if the kind may have it.
std::optional<std::string> readType(const EgressContext& context, Reporter& reporter) {
  const auto allowed = typesOf(context.kind);
  const Node* node = find(*context.table, "type");
  if (node == nullptr) {
    reporter
        .error(context.table->span,
               fmt::format("'type' is missing in the egress of {}", context.title))
        .expected = join(allowed, ", ");
    return std::nullopt;
  }
  if (node->type == NodeType::string &&
      std::find(allowed.begin(), allowed.end(), node->text) != allowed.end()) {
    return node->text;
  }
  const bool known = std::find(kTypes.begin(), kTypes.end(), node->text) != kTypes.end();
  Diagnostic& d =
      reporter.error(node->span, known ? fmt::format("a {} cannot have an egress of type '{}'",
                                                     toString(context.kind), node->text)
                                       : "this is not a type of egress");
  d.expected = join(allowed, ", ");
  d.got = describe(*node);
  if (!known) d.hint = didYouMean(node->text, allowed);
  return std::nullopt;
}

}  // namespace

std::optional<EgressSpec> readEgress(const EgressContext& context, const AuxiliaryFiles& auxiliary,
                                     Reporter& reporter) {
  if (context.table == nullptr) return defaultEgress(context, reporter);
  const auto type = readType(context, reporter);
  if (!type) return std::nullopt;
  EgressReader egress(context, *type, *context.table, auxiliary, reporter);
  if (*type == "openvpn") return egress.openVpn();
  if (*type == "wireguard") return egress.wireGuard();
  if (*type == "tor") return egress.tor();
  if (*type == "socks5") return egress.socks5();
  return DirectEgress{};
}

}  // namespace orrery
