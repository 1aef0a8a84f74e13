#include "runtime/routerctl/program.h"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstdlib>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr int kNotFound = 127;  // exit codes of POSIX shells
constexpr int kNotExecutable = 126;

// Sockets by which a program would have the host resolve a name, or do its work, outside of the
// router. Hidden with the directory that they are in, so that one made later is hidden as well.
constexpr std::array kHostResolvers = {"/run/nscd", "/run/systemd/resolve", "/run/dbus",
                                       "/run/avahi-daemon"};

// Any directory that is surely there: our mount namespace covers it for a moment to make a file in.
constexpr const char* kWorkshop = "/run/orrery";

Status mountTmpfs(const char* target, const char* options) {
  if (::mount("none", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0)
    return sysError(errno, "cover '{}'", target);
  return {};
}

// Only in a mount namespace of our own. The file's tmpfs lives on in the bind mount.
Status coverFile(const std::string& target, const std::string& text) {
  ORRERY_TRY(mountTmpfs(kWorkshop, "size=64k,mode=0755"));
  const std::string source = std::string(kWorkshop) + "/cover";
  Status made = writeFileAtomic(source, text, 0444);
  if (made && ::mount(source.c_str(), target.c_str(), nullptr, MS_BIND, nullptr) != 0)
    made = sysError(errno, "cover '{}'", target);
  if (::umount2(kWorkshop, MNT_DETACH) != 0 && made)
    made = sysError(errno, "uncover '{}'", kWorkshop);
  return made;
}

Result<std::string> realPath(const char* path) {
  char resolved[PATH_MAX];
  if (::realpath(path, resolved) == nullptr)
    return sysError(errno, "'{}' (an empty file will do)", path);
  return std::string(resolved);
}

Status hideHostResolvers(uid_t uid) {
  for (const char* path : kHostResolvers) {
    struct stat st {};
    if (::stat(path, &st) == 0 && S_ISDIR(st.st_mode))
      ORRERY_TRY(mountTmpfs(path, "size=64k,mode=0755"));
  }
  // The user's own bus starts programs on request, outside of every namespace of ours.
  for (const char* name : {"bus", "systemd/private"}) {
    const std::string path = fmt::format("/run/user/{}/{}", uid, name);
    if (pathExists(path)) ORRERY_TRY(coverFile(path, ""));
  }
  return {};
}

// /etc/resolv.conf may be a link into a directory that has just been hidden: then the file is made
// there anew.
Status coverResolvConf(const std::string& target, Ipv4 nameserver) {
  const std::string text = fmt::format("nameserver {}\n", toString(nameserver));
  return pathExists(target) ? coverFile(target, text) : writeFileAtomic(target, text, 0444);
}

Status enter(const NetnsFd& netns, const ProgramSpec& spec) {
  if (::setns(netns.get(), CLONE_NEWNET) != 0) return sysError(errno, "enter network namespace");
  if (!spec.nameserver && !spec.hideHostResolvers) return {};
  if (::unshare(CLONE_NEWNS) != 0) return sysError(errno, "make a mount namespace");
  // Not private but slave: what the host mounts later still shows, ours never reaches the host.
  if (::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return sysError(errno, "detach the mount namespace");
  std::string resolvConf;
  if (spec.nameserver) {
    ORRERY_TRY_ASSIGN(resolvConf, realPath("/etc/resolv.conf"));
  }
  if (spec.hideHostResolvers) ORRERY_TRY(hideHostResolvers(spec.user ? spec.user->uid : 0));
  if (spec.nameserver) ORRERY_TRY(coverResolvConf(resolvConf, *spec.nameserver));
  return {};
}

Status dropTo(const Caller& user) {
  // Without new privileges no setuid program gives back what is dropped here.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return sysError(errno, "set no_new_privs");
  const passwd* entry = ::getpwuid(user.uid);
  const int rc =
      entry != nullptr ? ::initgroups(entry->pw_name, user.gid) : ::setgroups(0, nullptr);
  if (rc != 0) return sysError(errno, "set groups of uid {}", user.uid);
  if (::setresgid(user.gid, user.gid, user.gid) != 0)
    return sysError(errno, "become gid {}", user.gid);
  if (::setresuid(user.uid, user.uid, user.uid) != 0)
    return sysError(errno, "become uid {}", user.uid);
  return {};
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> out;
  for (const std::string& word : words) out.push_back(const_cast<char*>(word.c_str()));
  out.push_back(nullptr);
  return out;
}

std::string_view valueOf(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& entry : environment)
    if (entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=')
      return std::string_view(entry).substr(name.size() + 1);
  return "";
}

// The child never returns.
[[noreturn]] void childMain(const NetnsFd& netns, const ProgramSpec& spec, const sigset_t& mask) {
  (void)::sigprocmask(SIG_SETMASK, &mask, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
  const Error e = becomeProgram(netns, spec);
  const std::string message = "routerctl: " + e.message + "\n";
  (void)!::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(exitCodeOf(e));
}

Result<ExitStatus> waitPassingSignals(pid_t child, int signals) {
  for (;;) {
    signalfd_siginfo info{};
    if (::read(signals, &info, sizeof info) != sizeof info) {
      if (errno == EINTR) continue;
      return sysError(errno, "wait for signals");
    }
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGTERM || signal == SIGHUP) (void)::kill(child, signal);
    if (signal != SIGCHLD) continue;
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) != child) continue;
    ExitStatus exit;
    if (WIFEXITED(status)) exit.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) {
      exit.signal = WTERMSIG(status);
      exit.dumpedCore = WCOREDUMP(status);
    }
    return exit;
  }
}

}  // namespace

Result<std::string> findProgram(const std::string& name,
                                const std::vector<std::string>& environment) {
  if (name.find('/') != std::string::npos) return name;
  std::string_view path = valueOf(environment, "PATH");
  if (path.empty()) path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string_view directory : split(path, ':')) {
    std::string candidate = fmt::format("{}/{}", directory.empty() ? "." : directory, name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return sysError(ENOENT, "'{}'", printable(name));
}

Error becomeProgram(const NetnsFd& netns, const ProgramSpec& spec) {
  if (Status entered = enter(netns, spec); !entered) return std::move(entered).error();
  if (spec.user)
    if (Status dropped = dropTo(*spec.user); !dropped) return std::move(dropped).error();
  if (spec.parent != 0) {
    // After the change of ids, which clears it (prctl(2)); exec keeps it, as no privilege is
    // gained. A parent that has died before is noticed by its number.
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != spec.parent) ::_exit(128 + SIGKILL);
  }
  const auto program = findProgram(spec.argv.front(), spec.environment);
  if (!program) return program.error();
  const auto argv = pointers(spec.argv);
  const auto environment = pointers(spec.environment);
  ::execve(program->c_str(), argv.data(), environment.data());
  return sysError(errno, "run '{}'", printable(spec.argv.front())).value();
}

Result<ExitStatus> runProgram(const NetnsFd& netns, const ProgramSpec& spec) {
  sigset_t wanted;
  sigset_t before;
  ::sigemptyset(&wanted);
  for (const int signal : {SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT}) ::sigaddset(&wanted, signal);
  if (::sigprocmask(SIG_BLOCK, &wanted, &before) != 0) return sysError(errno, "block signals");
  UniqueFd signals(::signalfd(-1, &wanted, SFD_CLOEXEC));
  if (!signals) return sysError(errno, "open signalfd");
  ProgramSpec bound = spec;
  bound.parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return sysError(errno, "fork");
  if (child == 0) childMain(netns, bound, before);
  auto status = waitPassingSignals(child, signals.get());
  // Signals stay blocked: what follows is the cleaning up, and it is short.
  return status;
}

int exitCodeOf(const ExitStatus& status) {
  return status.signal != 0 ? 128 + status.signal : status.code;
}

int exitCodeOf(const Error& error) {
  if (error.err == ENOENT) return kNotFound;
  if (error.err == EACCES || error.err == ENOEXEC) return kNotExecutable;
  return static_cast<int>(ExitCode::failed);
}

}  // namespace orrery
