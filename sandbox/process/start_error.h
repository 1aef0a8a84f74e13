// What a child reported, in words. Pure.
#pragma once

#include "sandbox/base/result.h"
#include "sandbox/namespaces/root.h"
#include "sandbox/process/child.h"
#include "sandbox/process/sandbox_spec.h"

namespace orrery {

Error startError(ChildStep step, int err, std::size_t index, const SandboxSpec& spec,
                 const PreparedRoot& root);

}  // namespace orrery
