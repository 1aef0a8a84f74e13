// The user namespace's id maps as text (user_namespaces(7)). Pure.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/base/result.h"
#include "sandbox/process/sandbox_spec.h"

namespace orrery {

// "0 100000 65536\n", for uid_map and gid_map alike. Errors: an empty range, one that contains the
// host's root (id 0), one that reaches beyond 2^32-2 ((uid_t)-1 means "no change").
Result<std::string> idMapText(const IdRange& range);

// The host's id of `inside`, which must lie in the range.
Result<std::uint32_t> outsideId(const IdRange& range, std::uint32_t inside);

}  // namespace orrery
