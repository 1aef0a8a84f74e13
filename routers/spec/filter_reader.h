// [[router.NAME.lan.filter]]: what the ports of clients let pass.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "routers/spec/field_reader.h"
#include "routers/spec/filter_compiler.h"
#include "routers/spec/router_spec.h"

namespace orrery {

inline constexpr std::size_t kMaxFilters = 8;  // of each direction

// `node` is the array. Without a compiler every filter is an error. Of what was wrong, which has
// been reported, nothing is returned.
std::vector<FilterSpec> readFilters(const Node& node, const std::string& router, const Prefix4& lan,
                                    const FilterCompiler* compiler, Reporter& reporter);

}  // namespace orrery
