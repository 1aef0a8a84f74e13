// Templates: [router.galaxy] with `count = 20` stands for galaxy0 … galaxy19, with "${n}" replaced
// by the number in every string. There is no arithmetic.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "routers/spec/field_reader.h"
#include "routers/spec/toml_document.h"

namespace orrery {

struct RouterInstance {
  std::string name;
  Span nameSpan;
  Node table;  // without `count`
  bool ofTemplate = false;
};

// The instances of one [router.NAME] table. Faults of the template itself are reported once; then
// there are no instances. `count` takes the place of the template's own.
std::vector<RouterInstance> expandTemplate(const TableEntry& router,
                                           const std::optional<std::uint32_t>& count,
                                           Reporter& reporter);

}  // namespace orrery
