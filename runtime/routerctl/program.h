// Programs inside a router's network: `exec` (in a router's namespace, as root) and `run` (in a
// namespace of its own behind the router, as the calling user).
#pragma once

#include <string>
#include <vector>

#include "netns/addr/ip.h"
#include "runtime/routerctl/command.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"
#include "sandbox/process/process.h"

namespace orrery {

struct ProgramSpec {
  std::vector<std::string> argv;  // argv[0] is searched in the environment's PATH
  std::vector<std::string> environment;
  std::optional<Ipv4> nameserver;  // its /etc/resolv.conf; none: the host's
  std::optional<Caller> user;      // runs as this user, without new privileges; none: as we do
  bool hideHostResolvers = false;  // nscd, systemd-resolved, D-Bus: they would act outside
  pid_t parent = 0;                // it is killed when this process, its parent, ends; 0: not
};

// Enters the namespace and a private mount namespace, and becomes the program. Returns only on
// failure: err ENOENT if there is no such program, EACCES if it may not be run.
Error becomeProgram(const NetnsFd& netns, const ProgramSpec& spec);

// The same in a child that dies with us, waited for. SIGTERM and SIGHUP to us are passed on; SIGINT
// and SIGQUIT reach the child by the terminal, and leave us alive to clean up.
Result<ExitStatus> runProgram(const NetnsFd& netns, const ProgramSpec& spec);

// As shells say it: the code, or 128 + signal.
int exitCodeOf(const ExitStatus& status);
// 127 for "not found", 126 for "not executable", else 1.
int exitCodeOf(const Error& error);

// The file that execvp(3) would run, by the PATH of `environment`. Pure but for access(2).
Result<std::string> findProgram(const std::string& name,
                                const std::vector<std::string>& environment);

}  // namespace orrery
