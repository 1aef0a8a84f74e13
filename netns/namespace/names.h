// Names of pins as paths. For this folder.
#pragma once

#include <string>

#include "sandbox/base/result.h"

namespace orrery {

// /run/netns/NAME. A name is one path component; err EINVAL otherwise.
Result<std::string> netnsPath(const std::string& name);

}  // namespace orrery
