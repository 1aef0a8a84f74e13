#include "sandbox/process/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/caps/capability_set.h"
#include "sandbox/landlock/landlock.h"
#include "sandbox/namespaces/clocks.h"
#include "sandbox/namespaces/id_map.h"
#include "sandbox/namespaces/procfs.h"
#include "sandbox/namespaces/root.h"
#include "sandbox/process/child.h"
#include "sandbox/process/fd_map.h"
#include "sandbox/process/start_error.h"

namespace orrery {
namespace {

// A child is silent this long only if its filter stops the hand-over, or a file system hangs.
constexpr int kAnswerTimeout = 10'000;    // milliseconds
constexpr int kEndedEarly = ESRCH;        // Error::err of a child that died without a report
constexpr std::size_t kMaxHostname = 64;  // HOST_NAME_MAX

Status checkSpec(const SandboxSpec& spec) {
  const auto hasNul = [](const std::string& s) { return s.find('\0') != std::string::npos; };
  if (spec.argv.empty()) return error("no program is named");
  for (const auto* strings : {&spec.argv, &spec.environment}) {
    for (const std::string& s : *strings)
      if (hasNul(s)) return error("an argument or variable contains a zero byte");
  }
  if (!isCanonicalPath(spec.argv[0]))
    return error("program '{}' is not a canonical absolute path", spec.argv[0]);
  if (!isCanonicalPath(spec.workingDirectory))
    return error("working directory '{}' is not a canonical absolute path", spec.workingDirectory);
  if (spec.hostname.empty() || spec.hostname.size() > kMaxHostname || hasNul(spec.hostname))
    return error("hostname '{}' does not have 1 to {} bytes", spec.hostname, kMaxHostname);
  if (!spec.ids && (spec.uid == 0 || spec.gid == 0))
    return error("root without a user namespace of its own is refused");
  return {};
}

Result<HostOwner> ownerOf(const SandboxSpec& spec) {
  if (!spec.ids) return HostOwner{spec.uid, spec.gid};
  ORRERY_TRY_ASSIGN(const std::uint32_t uid, outsideId(*spec.ids, spec.uid));
  ORRERY_TRY_ASSIGN(const std::uint32_t gid, outsideId(*spec.ids, spec.gid));
  return HostOwner{uid, gid};
}

Result<UniqueFd> rulesetFor(const PreparedRoot& root) {
  const int abi = landlockAbi();
  if (abi == 0) return UniqueFd{};
  std::vector<LandlockFd> rules;
  for (const PreparedMount& m : root.mounts) {
    LandlockAccess access;
    // Everything in the root is there to be read; procfs has no descriptor yet and lies below it.
    access.read = true;
    access.execute = m.executable;
    access.write = m.writable || m.kind == MountKind::devices;
    access.devices = m.kind == MountKind::devices;
    if (m.mount) rules.push_back(LandlockFd{m.mount.get(), access});
  }
  return makeRuleset(abi, {}, rules);
}

struct SocketPair {
  UniqueFd parent;
  UniqueFd child;  // above every target descriptor
};

Result<SocketPair> makeSync(int firstFree) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return sysError(errno, "make a socket pair");
  SocketPair pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
  pair.child.reset(::fcntl(ends[1], F_DUPFD_CLOEXEC, firstFree));
  if (!pair.child) return sysError(errno, "duplicate a socket");
  return pair;
}

std::vector<ChildRange> rangesOf(const std::vector<FdGap>& gaps) {
  std::vector<ChildRange> ranges;
  ranges.reserve(gaps.size());
  for (const FdGap& gap : gaps) ranges.push_back(ChildRange{gap.first, gap.last});
  return ranges;
}

// How the child gets into its cgroup, where that can be chosen (v2).
enum class Entry { byClone, byMove };

// Owns everything that a ChildPlan points to. Not movable: the plan has addresses of its members.
class Preparation {
 public:
  Preparation(const SpawnRequest& request, Entry entry)
      : request_(request),
        entry_(entry),
        arguments_(request.spec.argv),
        variables_(request.spec.environment) {}
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  Status prepare() {
    const SandboxSpec& spec = request_.spec;
    ORRERY_TRY(checkSpec(spec));
    if (spec.ids) {
      ORRERY_TRY_ASSIGN(idMap_, idMapText(*spec.ids));
    }
    ORRERY_TRY_ASSIGN(const HostOwner owner, ownerOf(spec));
    ORRERY_TRY_ASSIGN(const CapabilitySet capabilities,
                      CapabilitySet::fromNumbers(spec.capabilities));
    plan_.owner = owner.uid;
    ORRERY_TRY_ASSIGN(proc_, openProcfs());
    if (spec.ids) {
      ORRERY_TRY_ASSIGN(clocks_, newClockOffsets(proc_));
    }
    ORRERY_TRY_ASSIGN(root_, prepareRoot(spec.root, owner));
    if (request_.landlock) {
      ORRERY_TRY_ASSIGN(landlock_, rulesetFor(root_));
    }
    ORRERY_TRY(prepareFds());
    ORRERY_TRY(prepareCgroup());
    ORRERY_TRY(prepareFilter());
    plan_.capabilities = capabilities.bits();
    plan_.lastCapability = lastCapability();
    fillPlan();
    return {};
  }

  const ChildPlan& plan() const { return plan_; }
  const PreparedRoot& root() const { return root_; }
  const SocketPair& sync() const { return sync_; }
  const std::string& idMap() const { return idMap_; }
  const UniqueFd& proc() const { return proc_; }
  const std::optional<UniqueFd>& cgroup() const { return cgroup_; }
  void closeChildEnd() { sync_.child.reset(); }

 private:
  Status prepareFds() {
    ORRERY_TRY_ASSIGN(sync_, makeSync(firstFreeFd(request_.fds)));
    ORRERY_TRY_ASSIGN(fds_, arrangeFds(request_.fds, sync_.child.get()));
    for (const auto& [from, to] : fds_.moves) moves_.push_back(ChildFd{from.get(), to});
    last_ = rangesOf(fds_.gaps);
    return {};
  }

  Status prepareCgroup() {
    const std::string& path = request_.spec.cgroup;
    if (path.empty()) return {};
    if (request_.cgroups == nullptr)
      return error("cgroup '{}' is asked for, but there is no cgroup tree", path);
    if (entry_ == Entry::byClone) {
      ORRERY_TRY_ASSIGN(cgroup_, request_.cgroups->openForClone(path));
    }
    if (cgroup_) return {};
    ORRERY_TRY_ASSIGN(tasks_, request_.cgroups->openForEntry(path));
    for (const UniqueFd& file : tasks_) taskFds_.push_back(file.get());
    plan_.cgroupTasks = {taskFds_.data(), taskFds_.size()};
    plan_.waitForCgroup = tasks_.empty();  // v2, after a clone into the group has failed
    return {};
  }

  Status prepareFilter() {
    if (request_.filter.empty()) {
      if (request_.wantSeccompListener) return error("a seccomp listener needs a filter");
      return {};
    }
    if (request_.filter.size() > BPF_MAXINSNS)
      return error("the seccomp filter has {} instructions, more than {}", request_.filter.size(),
                   BPF_MAXINSNS);
    // The kernel only reads it; the type predates const (linux/filter.h).
    plan_.filter.filter = const_cast<sock_filter*>(request_.filter.data());
    plan_.filter.len = static_cast<unsigned short>(request_.filter.size());
    plan_.listener = request_.wantSeccompListener;
    return {};
  }

  std::vector<int> neededFds() const {
    std::vector<int> needed{sync_.child.get(), proc_.get()};
    if (plan_.netns >= 0) needed.push_back(plan_.netns);
    if (landlock_) needed.push_back(landlock_.get());
    for (const PreparedMount& m : root_.mounts)
      if (m.mount) needed.push_back(m.mount.get());
    for (const ChildFd& move : moves_) needed.push_back(move.from);
    needed.insert(needed.end(), taskFds_.begin(), taskFds_.end());
    return needed;
  }

  // Nobody may raise what is hard already.
  static ChildLimit within(int resource, std::uint64_t wanted) {
    rlimit present{};
    if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &present) != 0)
      return ChildLimit{resource, wanted};
    return ChildLimit{resource, std::min<std::uint64_t>(wanted, present.rlim_max)};
  }

  void fillLimits() {
    const SandboxLimits& limits = request_.spec.limits;
    limits_.push_back(ChildLimit{RLIMIT_NOFILE, limits.openFiles});
    // Zero would not keep its memory from a program that the host has for dumps: a limit of one
    // byte is the kernel's word for that (fs/coredump.c), and too small for a file.
    limits_.push_back(within(RLIMIT_CORE, 1));
    limits_.push_back(
        within(RLIMIT_FSIZE, limits.fileBytes != 0 ? limits.fileBytes : RLIM_INFINITY));
    if (limits.processes != 0) limits_.push_back(ChildLimit{RLIMIT_NPROC, limits.processes});
  }

  void fillPlan() {
    const SandboxSpec& spec = request_.spec;
    for (std::size_t i = 1; i < root_.mounts.size(); ++i)
      mounts_.push_back(ChildMount{root_.mounts[i].mount.get(), root_.mounts[i].target.c_str()});
    fillLimits();
    plan_.sync = sync_.child.get();
    plan_.proc = proc_.get();
    plan_.netns = request_.netns != nullptr ? request_.netns->get() : -1;
    first_ = rangesOf(gapsBetween(neededFds()));
    plan_.root = root_.mounts.front().mount.get();
    plan_.mounts = {mounts_.data(), mounts_.size()};
    plan_.workingDirectory = spec.workingDirectory.c_str();
    plan_.hostname = spec.hostname.c_str();
    plan_.hostnameSize = spec.hostname.size();
    plan_.limits = {limits_.data(), limits_.size()};
    plan_.newUserNamespace = spec.ids.has_value();
    plan_.clocks = clocks_.c_str();
    plan_.clocksSize = clocks_.size();
    plan_.uid = spec.uid;
    plan_.gid = spec.gid;
    plan_.dieWithParent = spec.dieWithParent;
    plan_.landlock = landlock_.get();
    plan_.fds = {moves_.data(), moves_.size()};
    plan_.closedFirst = {first_.data(), first_.size()};
    plan_.closedLast = {last_.data(), last_.size()};
    plan_.path = spec.argv[0].c_str();
    plan_.argv = arguments_.get();
    plan_.environment = variables_.get();
  }

  const SpawnRequest& request_;
  Entry entry_;
  CStrings arguments_;
  CStrings variables_;
  std::string idMap_;
  std::string clocks_;
  UniqueFd proc_;
  PreparedRoot root_;
  UniqueFd landlock_;
  SocketPair sync_;
  ArrangedFds fds_;
  std::optional<UniqueFd> cgroup_;
  std::vector<UniqueFd> tasks_;
  std::vector<int> taskFds_;
  std::vector<ChildMount> mounts_;
  std::vector<ChildLimit> limits_;
  std::vector<ChildFd> moves_;
  std::vector<ChildRange> first_;
  std::vector<ChildRange> last_;
  ChildPlan plan_;
};

// No handler of ours may run in the copy before its signals are reset.
class BlockedSignals {
 public:
  BlockedSignals() {
    sigset_t all;
    (void)::sigfillset(&all);
    (void)::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_{};
};

Result<SandboxedChild> cloneChild(const Preparation& preparation) {
  const ChildPlan& plan = preparation.plan();
  int pidfd = -1;
  clone_args args{};
  args.flags =
      CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
  if (plan.netns < 0) args.flags |= CLONE_NEWNET;
  if (preparation.cgroup()) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<__u64>(preparation.cgroup()->get());
  }
  args.pidfd = reinterpret_cast<__u64>(&pidfd);
  args.exit_signal = SIGCHLD;
  const BlockedSignals blocked;
  // Without a stack of its own the child goes on here, on a copy of ours.
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) runChild(plan);
  if (pid < 0) return sysError(errno, "make a process in new namespaces");
  SandboxedChild child;
  child.pid = static_cast<pid_t>(pid);
  child.pidfd = PidFd(pidfd);
  return child;
}

// The parent's side of the hand-over.
class Dialogue {
 public:
  Dialogue(const SpawnRequest& request, const Preparation& preparation, SandboxedChild& child)
      : request_(request), preparation_(preparation), child_(child) {}

  // Until the child has exec'ed.
  Status hold() {
    if (preparation_.plan().waitForCgroup) {
      ORRERY_TRY(request_.cgroups->attach(request_.spec.cgroup, child_.pid));
      ORRERY_TRY(goOn());
    }
    for (;;) {
      ORRERY_TRY_ASSIGN(const std::optional<ChildReport> report, next());
      if (!report) break;
      ORRERY_TRY(answer(*report));
      ORRERY_TRY(goOn());
    }
    if (!armed_) return sysError(kEndedEarly, "wait for its sandbox");
    return {};
  }

 private:
  // Nothing at the end of file.
  Result<std::optional<ChildReport>> next() const {
    const int fd = preparation_.sync().parent.get();
    pollfd entry{fd, POLLIN, 0};
    int ready = 0;
    while ((ready = ::poll(&entry, 1, kAnswerTimeout)) < 0 && errno == EINTR) {
    }
    if (ready < 0) return sysError(errno, "poll");
    if (ready == 0)
      return error("no answer for {} s; does its seccomp filter allow read, write and execve?",
                   kAnswerTimeout / 1000);
    ChildReport report;
    ssize_t n = 0;
    while ((n = ::recv(fd, &report, sizeof report, MSG_WAITALL)) < 0 && errno == EINTR) {
    }
    if (n == 0 || (n < 0 && errno == ECONNRESET)) return std::optional<ChildReport>{};
    if (n < 0) return sysError(errno, "receive");
    if (n != sizeof report) return error("a report was cut short");
    return std::optional<ChildReport>(report);
  }

  Status goOn() const {
    const char byte = 1;
    while (::send(preparation_.sync().parent.get(), &byte, 1, MSG_NOSIGNAL) < 0) {
      if (errno == EPIPE || errno == ECONNRESET) return {};  // its report or end comes next
      if (errno != EINTR) return sysError(errno, "send");
    }
    return {};
  }

  Status answer(const ChildReport& report) {
    switch (report.step) {
      case ChildStep::wantsMaps:
        return writeMaps();
      case ChildStep::armed:
        armed_ = true;
        return {};
      case ChildStep::listenerReady:
        return takeListener(static_cast<int>(report.index));
      default:
        return tl::unexpected<Error>(
            startError(report.step, report.err, report.index, request_.spec, preparation_.root()));
    }
  }

  Status writeMaps() const {
    ORRERY_TRY(writeProc("uid_map", preparation_.idMap()));
    ORRERY_TRY(writeProc("setgroups", "deny"));
    return writeProc("gid_map", preparation_.idMap());
  }

  // The child is ours and not reaped, so the number is still its own.
  Status writeProc(const char* name, const std::string& text) const {
    const std::string path = fmt::format("{}/{}", child_.pid, name);
    ORRERY_TRY_ASSIGN(const UniqueFd file, openBeneath(preparation_.proc().get(), path, O_WRONLY));
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return sysError(errno, "write '{}' to '/proc/{}'", trim(text), path);
    return {};
  }

  Status takeListener(int number) {
    UniqueFd fd(
        static_cast<int>(::syscall(SYS_pidfd_getfd, child_.pidfd.get(), number, 0)));  // CLOEXEC
    if (!fd) return sysError(errno, "take over the seccomp listener");
    child_.seccompListener = std::move(fd);
    return {};
  }

  const SpawnRequest& request_;
  const Preparation& preparation_;
  SandboxedChild& child_;
  bool armed_ = false;
};

// Ends and reaps a child that could not be started.
Error giveUp(const SandboxedChild& child, Error first) {
  if (auto sent = sendSignal(child.pidfd, SIGKILL); !sent)
    first.also.push_back(std::move(sent).error());
  auto status = waitExit(child.pidfd);
  if (!status)
    first.also.push_back(std::move(status).error());
  else if (first.err == kEndedEarly)
    first.message += fmt::format(" ({})", toText(*status));
  return first;
}

Result<SandboxedChild> spawn(const SpawnRequest& request, Entry entry) {
  Preparation preparation(request, entry);
  ORRERY_TRY(preparation.prepare());
  ORRERY_TRY_ASSIGN(SandboxedChild child, cloneChild(preparation));
  preparation.closeChildEnd();
  Status held = Dialogue(request, preparation, child).hold();
  if (held) return child;
  Error failure = giveUp(child, std::move(held).error());
  // Kernels since 6.14 (and stable ones that took "cgroup: fix race between fork and cgroup.kill")
  // kill what is cloned into a group that has seen cgroup.kill, however long ago.
  if (preparation.cgroup() && failure.err == kEndedEarly) return spawn(request, Entry::byMove);
  return tl::unexpected<Error>(std::move(failure));
}

}  // namespace

Result<SandboxedChild> spawnSandboxed(const SpawnRequest& request) {
  auto child = spawn(request, Entry::byClone);
  if (!child) return wrap(std::move(child).error(), "start '{}'", request.spec.name);
  return child;
}

}  // namespace orrery
