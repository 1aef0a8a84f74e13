#include "runtime/supervisor/service_runner.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "netns/namespace/netns.h"
#include "runtime/control/paths.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/seccomp/install.h"

namespace orrery {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstBackOff{100};
constexpr milliseconds kLongestBackOff{30'000};
constexpr std::chrono::seconds kCalm{60};
constexpr std::size_t kMaxLine = 4096;             // bytes; the rest of a longer one is cut off
constexpr std::uint64_t kMaxServiceLog = 1 << 20;  // bytes, then it becomes .1

// After a reboot a router may have another range of ids, and what survived belongs to the old one.
Status ownTree(const std::string& path, std::uint32_t user) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return sysError(errno, "look at '{}'", path);
  return st.st_uid == user ? Status{} : giveTree(path, user, user);
}

Status own(const std::string& path, std::uint32_t user, std::uint32_t group, mode_t mode) {
  if (::lchown(path.c_str(), user, group) != 0) return sysError(errno, "give '{}' away", path);
  if (::chmod(path.c_str(), mode) != 0) return sysError(errno, "set mode of '{}'", path);
  return {};
}

// What the service asks for, or as much as we may give: raising the hard limit needs a capability
// (CAP_SYS_RESOURCE) that not every host gives to root.
std::uint64_t openFilesWithin(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  return std::min<std::uint64_t>(wanted, limit.rlim_max);
}

}  // namespace

ServiceRunner::ServiceRunner(const ServiceSurroundings& at, ServiceSpec spec, ServiceOwner& owner)
    : at_(at), spec_(std::move(spec)), owner_(owner), backOff_(kFirstBackOff) {
  spec_.sandbox.limits.openFiles = openFilesWithin(spec_.sandbox.limits.openFiles);
  state_.name = toString(spec_.kind);
  state_.phase = ServicePhase::stopped;
}

void ServiceRunner::start() {
  wanted_ = true;
  backOff_ = kFirstBackOff;
  state_.phase = ServicePhase::starting;
  if (Status started = tryStart(); !started) startLater(started.error().message);
}

Status ServiceRunner::prepareFiles() const {
  const std::uint32_t user = hostUser(at_.idBase, spec_.kind);
  for (const ServiceDirectory& directory : spec_.directories) {
    ORRERY_TRY(makeDirectories(directory.path));
    if (directory.ownedByService) ORRERY_TRY(ownTree(directory.path, user));
    ORRERY_TRY(own(directory.path, directory.ownedByService ? user : 0,
                   directory.ownedByService ? user : 0, directory.mode));
  }
  for (const ServiceFile& file : spec_.files) {
    ORRERY_TRY(writeFileAtomic(file.path, file.text, 0400));
    ORRERY_TRY(own(file.path, 0, user, file.mode));
  }
  return {};
}

Result<std::optional<NetnsFd>> ServiceRunner::openNamespace() const {
  if (!spec_.netns) return std::optional<NetnsFd>{};
  ORRERY_TRY_ASSIGN(NetnsFd fd, openNetns(*spec_.netns));
  return std::optional<NetnsFd>(std::move(fd));
}

Status ServiceRunner::tryStart() {
  ORRERY_TRY(prepareFiles());
  if (!log_) {
    const RouterPaths paths(at_.router);
    ORRERY_TRY(makeDirectories(paths.logDir));
    LogOptions options;
    options.json = false;
    options.minimum = Severity::debug;
    options.maxBytes = kMaxServiceLog;
    ORRERY_TRY_ASSIGN(log_, Log::toFile(paths.log(state_.name), options));
  }
  ORRERY_TRY_ASSIGN(const auto netns, openNamespace());
  ORRERY_TRY_ASSIGN(const Filter filter, chooseFilter());
  ORRERY_TRY_ASSIGN(const auto gifts, owner_.prepareService(*this));
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return sysError(errno, "make a pipe");
  UniqueFd reader(fds[0]);
  const UniqueFd writer(fds[1]);
  if (::fcntl(reader.get(), F_SETFL, O_NONBLOCK) != 0) return sysError(errno, "set a pipe's flags");

  SpawnRequest request{.spec = spec_.sandbox};
  request.netns = netns ? &*netns : nullptr;
  // Older kernels (before 5.19) carry the answers out themselves, and nobody is told.
  request.wantSeccompListener = seccompCanListen() || spec_.listensForViolations;
  request.filter = request.wantSeccompListener ? filter.reporting : filter.program;
  request.cgroups = at_.cgroups;
  request.landlock = true;
  request.fds = {{writer.get(), 1}, {writer.get(), 2}};
  for (const auto& gift : gifts) request.fds.emplace_back(gift.fd.get(), gift.number);
  auto started = spawnSandboxed(request);
  if (!started && started.error().err == EBUSY && request.wantSeccompListener &&
      !spec_.listensForViolations) {
    // Whoever confined us has a listener, and a process can have one only (seccomp(2)).
    note(Severity::warning, "seccomp-untold", {{"why", started.error().message}});
    request.wantSeccompListener = false;
    request.filter = filter.program;
    started = spawnSandboxed(request);
  }
  if (!started) return tl::unexpected<Error>(std::move(started).error());
  SandboxedChild child = *std::move(started);

  UniqueFd listener = std::move(child.seccompListener);
  child_ = std::move(child);
  killedFor_.clear();
  output_ = std::move(reader);
  line_.clear();
  ORRERY_TRY(watchOutput());
  ORRERY_TRY_ASSIGN(endWatch_,
                    ReadWatch::start(at_.base, child_->pidfd.get(), [this] { ended(); }));
  if (listener)
    if (Status watched = watchCalls(std::move(listener), filter); !watched) {
      // Its refused calls would all be ENOSYS, and nobody would know.
      if (sendSignal(child_->pidfd, SIGKILL)) (void)waitExit(child_->pidfd);
      return watched;
    }
  startedAt_ = std::chrono::steady_clock::now();
  state_.pid = child_->pid;
  state_.phase = ServicePhase::running;
  owner_.serviceStarted(*this);
  return {};
}

Status ServiceRunner::watchOutput() {
  ORRERY_TRY_ASSIGN(outputWatch_,
                    ReadWatch::start(at_.base, output_.get(), [this] { readOutput(); }));
  return {};
}

void ServiceRunner::readOutput() {
  if (const milliseconds pause = gate_.pause(std::chrono::steady_clock::now()); pause.count() > 0) {
    outputWatch_.stop();
    // Without a timer its output would never be read again: then better without the pause.
    const Status later = gateTimer_.start(at_.base, pause, [this] { (void)watchOutput(); });
    if (!later) (void)watchOutput();
    return;
  }
  std::array<char, OutputGate::kChunk> buffer{};
  const ssize_t got = ::read(output_.get(), buffer.data(), buffer.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    outputWatch_.stop();
    return;
  }
  gate_.haveRead(static_cast<std::size_t>(got));
  takeOutput(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
}

void ServiceRunner::takeOutput(std::string_view text) {
  for (const char c : text) {
    if (c == '\n')
      endLine();
    else if (line_.size() < kMaxLine)
      line_ += c;
  }
}

void ServiceRunner::endLine() {
  const std::string line = std::exchange(line_, {});
  switch (gate_.line(line.size(), std::chrono::steady_clock::now())) {
    case OutputGate::Fate::dropped:
      return;
    case OutputGate::Fate::droppedFirst:
      note(Severity::warning, "log-flood", {{"what", "it says too much: lines are dropped"}});
      return;
    case OutputGate::Fate::keptAgain:
      note(Severity::info, "log-flood-over", {{"dropped", std::to_string(gate_.dropped())}});
      break;
    case OutputGate::Fate::kept:
      break;
  }
  takeLine(line);
}

void ServiceRunner::takeLine(std::string_view line) {
  Event event;
  event.router = at_.router;
  event.service = state_.name;
  event.name = "log";
  event.severity = Severity::debug;
  event.fields = {{"text", std::string(line)}};
  event.time = Timestamp::now();
  log_->write(event);
  owner_.serviceLine(*this, line);
}

void ServiceRunner::ended() {
  readOutput();
  std::string how = "ended";
  if (const auto status = waitExitTimeout(child_->pidfd, milliseconds(0)); status && *status)
    how = describeEnd(**status);
  endWatch_.stop();
  outputWatch_.stop();
  gateTimer_.stop();
  output_.reset();
  violations_.reset();
  child_.reset();
  state_.pid = 0;
  state_.lastExit = how;
  if (std::chrono::steady_clock::now() - startedAt_ > kCalm) backOff_ = kFirstBackOff;
  startLater(how);
}

void ServiceRunner::startLater(const std::string& why) {
  state_.phase = wanted_ ? ServicePhase::waiting : ServicePhase::stopped;
  state_.lastExit = why;
  owner_.serviceEnded(*this, why);
  if (!wanted_) return;
  const milliseconds delay = std::exchange(immediately_, false) ? milliseconds(0) : backOff_;
  backOff_ = std::min(backOff_ * 2, kLongestBackOff);
  ++state_.restarts;
  (void)backOffTimer_.start(at_.base, delay, [this] {
    state_.phase = ServicePhase::starting;
    if (Status started = tryStart(); !started) startLater(started.error().message);
  });
}

void ServiceRunner::stop(milliseconds grace) {
  wanted_ = false;
  backOffTimer_.stop();
  if (!child_) {
    state_.phase = ServicePhase::stopped;
    return;
  }
  endWatch_.stop();
  outputWatch_.stop();
  gateTimer_.stop();
  violations_.reset();  // nobody answers while we wait: a blocked call must not use the grace up
  if (grace.count() > 0)
    (void)terminate(child_->pidfd, grace);
  else if (sendSignal(child_->pidfd, SIGKILL))
    (void)waitExit(child_->pidfd);
  child_.reset();
  state_.pid = 0;
  state_.phase = ServicePhase::stopped;
}

void ServiceRunner::restart() {
  if (!child_) return;
  immediately_ = true;
  (void)sendSignal(child_->pidfd, SIGKILL);
}

Status ServiceRunner::signal(int number) {
  if (!child_) return sysError(ESRCH, "service '{}' does not run", state_.name);
  ORRERY_TRY(sendSignal(child_->pidfd, number));
  return {};
}

}  // namespace orrery
