// What a sandboxed process may see and use, as a value. Built by routers/services (pure), carried
// out by sandbox/process/spawn.h. Everything here is prepared before clone; the child only makes
// async-signal-safe calls.
//
// Ownership of namespaces: the child enters the given network namespace, then gets pid, mount, ipc,
// uts and cgroup namespaces while it still has the parent's user namespace, builds its root, and
// only then enters a new user namespace. So a service owns *no* namespace but that user namespace:
// even a service with every capability of its own can change no mount, link, address, route or
// rule, and open no packet socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace orrery {

struct BindMount {
  std::string source;  // host path
  std::string target;  // absolute, inside the new root
  bool writable = false;
  bool executable = false;  // else noexec
  friend bool operator==(const BindMount&, const BindMount&) = default;
};
struct TmpfsMount {
  std::string target;
  std::uint64_t size = 1 << 20;  // bytes
  std::uint32_t mode = 0755;     // owner is the service's mapped user
  friend bool operator==(const TmpfsMount&, const TmpfsMount&) = default;
};
struct DeviceNode {  // made with mode 0666 in the root's own /dev
  std::string name;  // "null", "net/tun"
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  friend bool operator==(const DeviceNode&, const DeviceNode&) = default;
};
struct TextFile {  // placed into the root, read-only: /etc/passwd, /etc/resolv.conf
  std::string target;
  std::string text;
  friend bool operator==(const TextFile&, const TextFile&) = default;
};

struct RootSpec {
  std::vector<BindMount> binds;
  std::vector<TmpfsMount> tmpfs;
  std::vector<DeviceNode> devices;
  std::vector<TextFile> files;
  std::vector<std::pair<std::string, std::string>> symlinks;  // target, link path
  bool proc = false;  // mount procfs with subset=pid, read-only
  friend bool operator==(const RootSpec&, const RootSpec&) = default;
};

// The user namespace: `inside` ids 0..count-1 stand for `outside`.. on the host.
struct IdRange {
  std::uint32_t outside = 0;
  std::uint32_t count = 1;
  friend bool operator==(const IdRange&, const IdRange&) = default;
};

struct SandboxLimits {
  std::uint64_t openFiles = 1024;
  std::uint64_t processes = 0;  // 0: left to the pids cgroup
  std::uint64_t fileBytes = 0;  // of the largest file that it may write; 0: no limit
  friend bool operator==(const SandboxLimits&, const SandboxLimits&) = default;
};

struct SandboxSpec {
  std::string name;                      // of the service, for errors: "tor"
  std::vector<std::string> argv;         // argv[0] is the path inside the root
  std::vector<std::string> environment;  // exactly this
  std::string workingDirectory = "/";
  RootSpec root;
  std::optional<IdRange> ids;  // none: stays in the parent's user namespace
  std::uint32_t uid = 0;       // inside the user namespace
  std::uint32_t gid = 0;
  std::vector<int> capabilities;  // CAP_* kept across exec; normally none
  std::string seccomp;            // profile name, e.g. "dnsmasq"
  SandboxLimits limits;
  std::string hostname = "router";
  std::string cgroup;         // path below the cgroup root, "" = stay
  bool dieWithParent = true;  // PDEATHSIG SIGKILL
  friend bool operator==(const SandboxSpec&, const SandboxSpec&) = default;
};

}  // namespace orrery
