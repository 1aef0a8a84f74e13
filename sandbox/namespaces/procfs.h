// The process file system, made sure to be it.
//
// What is written below /proc gives ids and takes powers; a directory that somebody else made look
// like it would swallow that (CVE-2019-16884, CVE-2019-19921). So what we use is an instance of our
// own, mounted nowhere, that nobody else has a path into (fsopen(2); one of its own for each mount
// since Linux 5.8). It is faster too: the kernel keeps the sysctl directories of all namespaces
// that were looked at through one instance under one hash, and compares with each
// (proc_sys_compare(), fs/proc/proc_sysctl.c): 1.4 ms for each look with 900 namespaces in /proc,
// 0.01 with none.
#pragma once

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// A descriptor of the root of procfs, of the caller's PID namespace; for what ends in `at` calls.
// Where no instance can be made (CAP_SYS_ADMIN; a container with a masked /proc) it is /proc's.
Result<UniqueFd> openProcfs();
// An O_PATH descriptor of what is mounted there. Errors: it is no procfs, or not the root of one.
Result<UniqueFd> openProcfs(const char* path);

}  // namespace orrery
