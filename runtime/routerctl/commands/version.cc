// version: what this program is, and what the kernel under it can do.
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "runtime/routerctl/commands.h"
#include "sandbox/base/file.h"

#ifndef ORRERY_VERSION
#define ORRERY_VERSION "0"
#endif
#ifndef ORRERY_COMMIT
#define ORRERY_COMMIT "unknown"
#endif

namespace orrery {
namespace {

struct KernelFeatures {
  std::string release;
  bool ipv6 = false;
  bool userNamespaces = false;
  bool seccompFilter = false;
  bool seccompNotify = false;
  bool pidfd = false;
  long landlock = 0;  // ABI version, 0: none
};

bool seccompHas(std::uint32_t action) {
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

KernelFeatures probe() {
  KernelFeatures features;
  utsname name{};
  if (::uname(&name) == 0) features.release = name.release;
  features.ipv6 = pathExists("/proc/sys/net/ipv6");
  features.userNamespaces = pathExists("/proc/self/ns/user");
  features.seccompFilter = seccompHas(SECCOMP_RET_KILL_PROCESS);
  features.seccompNotify = seccompHas(SECCOMP_RET_USER_NOTIF);
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  features.pidfd = static_cast<bool>(self);
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  features.landlock = abi > 0 ? abi : 0;
  return features;
}

class VersionCommand final : public Command {
 public:
  std::string_view name() const override { return "version"; }
  std::string_view summary() const override {
    return "Show the version, and what the kernel can do";
  }
  void declare(CommandLine&) override {}
  CommandResult run(CommandContext& context) override {
    const KernelFeatures features = probe();
    Console& console = context.console;
    if (!console.mode().json) {
      console.print(fmt::format("orrery {} ({})\n", ORRERY_VERSION, ORRERY_COMMIT));
      if (!console.mode().quiet) console.print(kernelText(features));
      return 0;
    }
    console.document(
        Json::object({{"schema", "orrery.version/1"},
                      {"version", ORRERY_VERSION},
                      {"commit", ORRERY_COMMIT},
                      {"kernel", Json::object({{"release", features.release},
                                               {"ipv6", features.ipv6},
                                               {"userNamespaces", features.userNamespaces},
                                               {"seccompFilter", features.seccompFilter},
                                               {"seccompNotify", features.seccompNotify},
                                               {"pidfd", features.pidfd},
                                               {"landlock", features.landlock}})}}));
    return 0;
  }

 private:
  static std::string kernelText(const KernelFeatures& f) {
    const auto word = [](bool has) { return has ? "yes" : "no"; };
    return fmt::format(
        "kernel {}: user namespaces {}, seccomp filter {}, seccomp notify {}, pidfd {}, "
        "landlock {}, ipv6 {}\n",
        f.release, word(f.userNamespaces), word(f.seccompFilter), word(f.seccompNotify),
        word(f.pidfd), f.landlock > 0 ? fmt::format("ABI {}", f.landlock) : "no", word(f.ipv6));
  }
};

}  // namespace

std::unique_ptr<Command> makeVersionCommand() {
  return std::make_unique<VersionCommand>();
}

}  // namespace orrery
