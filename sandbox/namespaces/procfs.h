// The process file system, made sure to be it.
//
// What is written below /proc gives ids and takes powers; a directory that somebody else made look
// like it would swallow that (CVE-2019-16884, CVE-2019-19921). So it is opened once, looked at, and
// used by descriptor.
#pragma once

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// An O_PATH descriptor of /proc. Errors: what is there is no procfs, or not the root of one.
Result<UniqueFd> openProcfs();
// The same for another place (tests).
Result<UniqueFd> openProcfs(const char* path);

}  // namespace orrery
