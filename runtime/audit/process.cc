#include "runtime/audit/process.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sandbox/base/file.h"
#include "sandbox/seccomp/embedded.h"

namespace orrery::audit {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kStartPatience{5000};
constexpr int kConfig = 3, kTalk = 4, kFirstRing = 5;  // as auditor_main.cc has them
constexpr std::size_t kMaxLine = std::size_t{4} << 20;

SandboxSpec sandboxOf(const AuditorHome& home) {
  const std::string inside = "/usr/libexec/orrery-auditor";
  SandboxSpec spec;
  spec.name = "auditor";
  spec.seccomp = "auditor";
  spec.argv = {inside};
  spec.environment = {"LC_ALL=C"};
  spec.root.binds = {{home.libexec + "/orrery-auditor", inside, false, true}};
  spec.ids = home.ids;
  spec.uid = home.ids.count - 1;
  spec.gid = spec.uid;
  spec.limits.openFiles = 128;
  return spec;
}

Result<UniqueFd> inMemory(const std::string& text) {
  UniqueFd fd(::memfd_create("auditor-config", MFD_CLOEXEC));
  if (!fd) return sysError(errno, "make a memory file");
  ORRERY_TRY(writeAll(fd.get(), text));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return sysError(errno, "rewind");
  return fd;
}

}  // namespace

Result<AuditorProcess> AuditorProcess::start(std::vector<Watch> watches, const std::string& session,
                                             const AuditorHome& home, milliseconds patience) {
  AuditorConfig config;
  config.session = session;
  config.patience = patience;
  FdMap fds;
  for (std::size_t i = 0; i < watches.size(); ++i) {
    config.links.push_back(watches[i].link);
    config.fds.push_back(kFirstRing + static_cast<int>(i));
    fds.emplace_back(watches[i].ring.get(), config.fds.back());
  }
  ORRERY_TRY_ASSIGN(const UniqueFd memory, inMemory(toJson(config).dump()));
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return sysError(errno, "make a socket pair");
  UniqueFd ours(pair[0]);
  const UniqueFd theirs(pair[1]);
  fds.emplace_back(memory.get(), kConfig);
  fds.emplace_back(theirs.get(), kTalk);
  fds.emplace_back(STDERR_FILENO, STDERR_FILENO);
  ORRERY_TRY_ASSIGN(const auto filter, embeddedProfile("auditor"));
  const SandboxSpec spec = sandboxOf(home);
  SpawnRequest request{.spec = spec};
  request.filter = filter;
  request.fds = fds;
  request.landlock = true;
  ORRERY_TRY_ASSIGN(SandboxedChild child, spawnSandboxed(request));
  AuditorProcess process(std::move(ours), std::move(child));
  ORRERY_TRY(process.await("watching", kStartPatience));
  return process;
}

AuditorProcess::~AuditorProcess() {
  talk_.reset();
  if (child_.pidfd) (void)terminate(child_.pidfd, milliseconds(0));
}

Error AuditorProcess::whyItEnded() const {
  const auto status = waitExitTimeout(child_.pidfd, milliseconds(500));
  const std::string how = status && *status ? toText(**status) : "closed its socket";
  return error("the auditor has ended: {}", how).value();
}

Result<Json> AuditorProcess::nextLine(milliseconds timeout) {
  if (told_.empty()) return readLine(timeout);
  Json line = std::move(told_.front());
  told_.pop_front();
  return line;
}

Result<Json> AuditorProcess::readLine(milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    const std::size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      const std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return parseJson(line);
    }
    if (pending_.size() > kMaxLine) return error("the auditor sends no line ends");
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    pollfd item{talk_.get(), POLLIN, 0};
    const int ready = ::poll(&item, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return sysError(errno, "wait for the auditor");
    if (ready == 0) return sysError(ETIMEDOUT, "the auditor says nothing");
    std::array<char, 16384> chunk{};
    const ssize_t got = ::read(talk_.get(), chunk.data(), chunk.size());
    if (got <= 0) return tl::unexpected<Error>(whyItEnded());
    pending_.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

Result<Json> AuditorProcess::await(std::string_view event, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    ORRERY_TRY_ASSIGN(Json line, readLine(left));
    if (line.text("event") == event) return line;
    if (line.text("event") == "violation" || line.text("event") == "lost") told_.push_back(line);
    if (line.text("event") == "marker") markers_.push_back(std::move(line));
  }
}

Status AuditorProcess::awaitMarker(std::size_t link, unsigned number, milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const auto isIt = [&](const Json& marker) {
    return marker.integer("link") == static_cast<std::int64_t>(link) &&
           marker.integer("number") == static_cast<std::int64_t>(number);
  };
  if (const auto at = std::find_if(markers_.begin(), markers_.end(), isIt); at != markers_.end()) {
    markers_.erase(at);
    return {};
  }
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    ORRERY_TRY_ASSIGN(const Json marker, await("marker", left));
    if (isIt(marker)) return {};
    markers_.push_back(marker);
  }
}

Status AuditorProcess::setContracts(std::vector<LinkContract> contracts, milliseconds timeout) {
  const AuditorOrder order{std::move(contracts)};
  ORRERY_TRY(writeAll(talk_.get(), toJson(order).dump() + "\n"));
  ORRERY_TRY(await("contracts", timeout));
  return {};
}

Result<std::vector<LinkReport>> AuditorProcess::report(milliseconds timeout) {
  ORRERY_TRY(writeAll(talk_.get(), toJson(AuditorOrder{}).dump() + "\n"));
  ORRERY_TRY_ASSIGN(const Json json, await("report", timeout));
  std::vector<LinkReport> reports;
  if (json["links"].asArray() == nullptr) return error("the auditor's report has no links");
  for (const Json& item : *json["links"].asArray()) {
    ORRERY_TRY_ASSIGN(LinkReport report, linkReportFromJson(item));
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace orrery::audit
