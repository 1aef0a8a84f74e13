// A process that gives up what it does not need, for itself and for all that it will start.
#pragma once

#include "sandbox/base/result.h"
#include "sandbox/caps/capability_set.h"

namespace orrery {

// Permitted and effective become those of `kept` that the process has, inheritable and ambient
// nothing, the bounding set no more than `kept`; no_new_privs is set. An exec as root ends with the
// same, and with no more. Acts on the calling thread: call it before there are others. Needs
// CAP_SETPCAP. A service's own user namespace has its own bounding set (user_namespaces(7)), so a
// service can still be given what is dropped here.
Status confineTo(const CapabilitySet& kept);

}  // namespace orrery
