#include "sandbox/process/start_error.h"

#include "sandbox/caps/capability_set.h"

namespace orrery {
namespace {

std::string limitName(std::size_t index) {
  constexpr const char* kNames[] = {"open files", "core size", "file size", "processes"};
  return index < std::size(kNames) ? kNames[index] : "?";
}

std::string capabilitiesText(const SandboxSpec& spec) {
  const auto set = CapabilitySet::fromNumbers(spec.capabilities);
  return set ? toText(*set) : "?";
}

std::string mountText(std::size_t index, const PreparedRoot& root) {
  if (index + 1 >= root.mounts.size()) return "mount";
  const PreparedMount& mount = root.mounts[index + 1];  // [0] is the root itself
  return fmt::format("mount '{}' at '{}'", mount.source, mount.target);
}

std::string stepText(ChildStep step, std::size_t index, const SandboxSpec& spec,
                     const PreparedRoot& root) {
  switch (step) {
    case ChildStep::netns:
      return "enter the network namespace";
    case ChildStep::privateMounts:
      return "make mounts private";
    case ChildStep::attachRoot:
      return "attach the new root";
    case ChildStep::pivotRoot:
      return "pivot to the new root";
    case ChildStep::attachMount:
      return mountText(index, root);
    case ChildStep::mountProc:
      return "mount 'proc' at '/proc'";
    case ChildStep::detachOldRoot:
      return "detach the old root";
    case ChildStep::workingDirectory:
      return fmt::format("change to working directory '{}'", spec.workingDirectory);
    case ChildStep::hostname:
      return fmt::format("set hostname '{}'", spec.hostname);
    case ChildStep::rlimit:
      return fmt::format("limit {}", limitName(index));
    case ChildStep::session:
      return "make a session";
    case ChildStep::oomScore:
      return "write 'oom_score_adj'";
    case ChildStep::cgroup:
      return fmt::format("enter cgroup '{}'", spec.cgroup);
    case ChildStep::cgroupNamespace:
      return "make a cgroup namespace";
    case ChildStep::timeNamespace:
      return "make a time namespace";
    case ChildStep::groups:
      return "drop supplementary groups";
    case ChildStep::userNamespace:
      return "make a user namespace";
    case ChildStep::noUserNamespaces:
      return "forbid further user namespaces";
    case ChildStep::boundingSet:
      return "limit the capability bounding set";
    case ChildStep::securebits:
      return "lock securebits";
    case ChildStep::gid:
      return fmt::format("become group {}", spec.gid);
    case ChildStep::uid:
      return fmt::format("become user {}", spec.uid);
    case ChildStep::capabilities:
      return fmt::format("set capabilities to {}", capabilitiesText(spec));
    case ChildStep::keyring:
      return "join a new session keyring";
    case ChildStep::dumpable:
      return "forbid dumps";
    case ChildStep::noNewPrivileges:
      return "forbid new privileges";
    case ChildStep::deathSignal:
      return "ask for a signal at the parent's death";
    case ChildStep::landlock:
      return "restrict file access by Landlock";
    case ChildStep::descriptor:
      return "place a descriptor";
    case ChildStep::closeRest:
      return "close descriptors";
    case ChildStep::signals:
      return "reset signals";
    case ChildStep::coreCookie:
      return "ask for a core of its own";
    case ChildStep::seccomp:
      return fmt::format("install seccomp filter '{}'", spec.seccomp);
    case ChildStep::exec:
      return fmt::format("execute '{}'", spec.argv.front());
    case ChildStep::wantsMaps:
    case ChildStep::armed:
    case ChildStep::listenerReady:
      break;
  }
  return "set up the sandbox";
}

}  // namespace

Error startError(ChildStep step, int err, std::size_t index, const SandboxSpec& spec,
                 const PreparedRoot& root) {
  return std::move(sysError(err, "{}", stepText(step, index, spec, root))).value();
}

}  // namespace orrery
