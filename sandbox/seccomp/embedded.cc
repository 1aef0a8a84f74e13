#include "sandbox/seccomp/embedded.h"

#include <algorithm>
#include <string>

#include "sandbox/base/strings.h"
#include "sandbox/seccomp/embedded_data.h"

namespace orrery {
namespace {

Result<const embedded::Entry*> find(std::string_view name) {
  const auto all = embedded::entries();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const embedded::Entry& e) { return e.name == name; });
  if (found != all.end()) return &*found;
  std::vector<std::string> known;
  for (const embedded::Entry& e : all) known.emplace_back(e.name);
  return error("no seccomp profile '{}'; there are: {}", name, join(known, ", "));
}

}  // namespace

Result<std::span<const sock_filter>> embeddedProfile(std::string_view name) {
  ORRERY_TRY_ASSIGN(const embedded::Entry* entry, find(name));
  return entry->program;
}

Result<std::span<const sock_filter>> embeddedReportingProfile(std::string_view name) {
  ORRERY_TRY_ASSIGN(const embedded::Entry* entry, find(name));
  return entry->reporting;
}

std::span<const EmbeddedSource> embeddedSources() {
  return embedded::sources();
}

Result<std::string_view> embeddedTable(std::string_view name) {
  ORRERY_TRY_ASSIGN(const embedded::Entry* entry, find(name));
  return entry->table;
}

std::vector<std::string_view> embeddedProfileNames() {
  std::vector<std::string_view> names;
  for (const embedded::Entry& e : embedded::entries()) names.push_back(e.name);
  return names;
}

}  // namespace orrery
