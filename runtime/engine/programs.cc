#include "runtime/engine/programs.h"

#include <unistd.h>

#include <climits>

#include "sandbox/base/file.h"

namespace orrery {

Result<std::string> libexecDirectory() {
  std::string self(PATH_MAX, '\0');
  const ssize_t n = ::readlink("/proc/self/exe", self.data(), self.size());
  if (n < 0) return sysError(errno, "read '/proc/self/exe'");
  self.resize(static_cast<std::size_t>(n));
  const std::string here = self.substr(0, self.rfind('/'));
  if (pathExists(here + "/orrery-supervisor")) return here;
  const std::string installed = here.substr(0, here.rfind('/')) + "/libexec/orrery";
  if (pathExists(installed + "/orrery-supervisor")) return installed;
  return error("orrery-supervisor is neither in '{}' nor in '{}'; install Orrery anew", here,
               installed);
}

ProgramPaths programPaths(const std::string& libexec) {
  ProgramPaths paths;
  paths.libexec = libexec;
#if defined(__aarch64__)
  paths.libraries = "/usr/lib/aarch64-linux-gnu";
  paths.loader = "/lib/ld-linux-aarch64.so.1";
#endif
  return paths;
}

}  // namespace orrery
