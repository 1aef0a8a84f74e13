#include "routers/egress/tunnel_facts.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxSummary = 120;  // bytes shown

// NAME=value or NAME="value" in a control line; an empty text if absent.
std::string_view valueOf(std::string_view line, std::string_view name) {
  const std::size_t at = line.find(name);
  if (at == std::string_view::npos) return {};
  std::string_view rest = line.substr(at + name.size());
  if (rest.starts_with('"')) {
    rest.remove_prefix(1);
    return rest.substr(0, rest.find('"'));
  }
  return rest.substr(0, rest.find(' '));
}

}  // namespace

std::optional<TorProgress> parseTorBootstrap(std::string_view line) {
  if (line.find(" BOOTSTRAP ") == std::string_view::npos) return std::nullopt;
  const auto percent = parseNumber<int>(valueOf(trim(line), " PROGRESS="));
  if (!percent || *percent < 0 || *percent > 100) return std::nullopt;
  return TorProgress{*percent, std::string(valueOf(line, " SUMMARY=").substr(0, kMaxSummary))};
}

}  // namespace orrery
