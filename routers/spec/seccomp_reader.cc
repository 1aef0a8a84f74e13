#include "routers/spec/seccomp_reader.h"

#include <fmt/format.h>

#include <utility>

#include "sandbox/seccomp/own_profile.h"

namespace orrery {
namespace {

// Third parties' programs. Our own are known down to each call: their profiles are not up for
// choice.
const KeyList kServices{{"dnsmasq", "tor", "openvpn", "wireguard-go", "udhcpc"}};

Result<std::string> parsePath(std::string_view text) {
  if (text.empty()) return error("a path is empty");
  if (text.find('\n') != std::string_view::npos) return error("a path has a line break in it");
  return std::string(text);
}

std::optional<OwnSeccompProfile> readOwn(FieldReader& fields, const std::string& service,
                                         const AuxiliaryFiles& auxiliary, Reporter& reporter) {
  const auto name = fields.text(service, parsePath, "a path, absolute or relative to this file");
  if (!name) return std::nullopt;
  const Span& span = fields.optional(service)->span;
  OwnSeccompProfile own;
  own.service = service;
  own.path = resolvePath(reporter.source().file(), *name);
  auto file = auxiliary.read(own.path);
  if (!file) {
    reporter.error(span, fmt::format("the profile cannot be read: {}", file.error().message)).hint =
        fmt::format("relative paths are relative to the definition: this is {}", own.path);
    return std::nullopt;
  }
  if (auto owner = checkOwnership(own.path, *file, auxiliary.user(), false); !owner)
    reporter.error(span, owner.error().message);
  if (auto good = checkOwnProfile("own-" + service, file->text); !good) {
    Diagnostic& d = reporter.error(span, good.error().message);
    d.hint = fmt::format("'own-{}' is {}", service, own.path);
    return std::nullopt;
  }
  own.text = std::move(file->text);
  return own;
}

}  // namespace

SeccompSpec readSeccompSpec(const Node& table, const std::string& title,
                            const std::optional<Kind>& kind, const AuxiliaryFiles& auxiliary,
                            Reporter& reporter) {
  SeccompSpec spec;
  FieldReader fields(table, table.span, title, KeyList{{"learn", "profiles"}}, reporter);
  spec.learn = fields.boolean("learn").value_or(false);
  if (spec.learn) {
    const Span& span = fields.optional("learn")->span;
    if (kind == Kind::star) {
      Diagnostic& d = reporter.error(span, "a star does not learn");
      d.expected = "learn = false";
      d.hint =
          "while learning, what a profile refuses is let pass; learn on a router that hides nobody";
    } else {
      reporter.warning(span, "'learn' lets system calls pass that the shipped profiles refuse")
          .hint = "for a test with data that you can lose; strike it when the proposal is written";
    }
  }
  const Node* profiles = fields.table("profiles", "a table: { openvpn = \"openvpn-own.toml\" }");
  if (profiles == nullptr) return spec;
  FieldReader names(*profiles, profiles->span, title + ".profiles", kServices, reporter);
  for (const std::string& service : kServices.keys)
    if (auto own = readOwn(names, service, auxiliary, reporter))
      spec.profiles.push_back(*std::move(own));
  return spec;
}

}  // namespace orrery
