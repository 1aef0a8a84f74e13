// Network namespaces: making, naming, entering for a moment, and their sysctls.
//
// setns(2) moves one thread and the way back can fail, so whatever must happen inside a namespace
// happens on a fresh thread that ends there (about 40 us). A socket belongs for ever to the
// namespace that it was born in, so most work needs no visit: open a socket once and keep it.
//
// Privileges: CAP_SYS_ADMIN in the user namespace that owns the network namespace, and in our own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// Where names are bound, as ip-netns(8) does.
inline constexpr const char* kNetnsDirectory = "/run/netns";

// A new, empty namespace owned by the caller's user namespace. It lives as long as the descriptor,
// a pin, a process or a socket holds it.
Result<NetnsFd> createNetns();

// /run/netns/NAME; "" is the calling thread's own. Err ENOENT if there is no such pin, EINVAL if
// the file is not a network namespace (the rest of a crash: unpinNetns removes it).
Result<NetnsFd> openNetns(const std::string& name);
Result<NetnsFd> openNetnsOfPid(pid_t pid);

// Binds the namespace to /run/netns/NAME so that it outlives us and `ip netns exec NAME` works.
// Makes the directory and, like ip-netns(8), makes it a shared mount. Err EEXIST if the name is
// taken, by a namespace or by a file.
Status pinNetns(const NetnsFd& netns, const std::string& name);
// Unbinds lazily and removes the file; an absent one is fine.
Status unpinNetns(const std::string& name);
// True if /run/netns/NAME is a namespace, false if it is absent or a plain file.
Result<bool> netnsPinned(const std::string& name);
// Unmounts and removes /run/netns if nothing is in it; otherwise does nothing. For the last
// removal, so that the host looks as it did.
Status removeEmptyNetnsDirectory();

// Identifies a namespace while it lives (st_ino of the nsfs).
Result<std::uint64_t> netnsInode(const NetnsFd& netns);
Result<NetnsFd> duplicate(const NetnsFd& netns);

// Runs `function(context)` on a fresh thread inside the namespace. Fails without having run it if
// the thread cannot be made or cannot enter.
Status runInNetns(const NetnsFd& netns, void (*function)(void*), void* context);

// Runs `f` (returning a Result or a Status, not throwing) inside the namespace and returns what it
// returned.
template <class F>
auto inNetns(const NetnsFd& netns, F f) -> decltype(f()) {
  using Outcome = decltype(f());
  struct Call {
    F* function;
    std::optional<Outcome> outcome;
  } call{&f, std::nullopt};
  ORRERY_TRY(runInNetns(
      netns,
      [](void* context) {
        auto* c = static_cast<Call*>(context);
        c->outcome.emplace((*c->function)());
      },
      &call));
  return std::move(*call.outcome);
}

// socket(2) born inside the namespace, CLOEXEC.
Result<UniqueFd> socketIn(const NetnsFd& netns, int domain, int type, int protocol);

// Keys are relative to /proc/sys/net, with '/': "ipv4/conf/default/rp_filter". All are written in
// one visit; the first failure ends it. Err ENOENT if the kernel has no such key (no IPv6, no
// bridge netfilter, no such interface).
using Sysctl = std::pair<std::string, std::string>;
Status setSysctls(const NetnsFd& netns, const std::vector<Sysctl>& values);
// Values without the trailing newline, in the order of the keys.
Result<std::vector<Sysctl>> getSysctls(const NetnsFd& netns, const std::vector<std::string>& keys);

}  // namespace orrery
