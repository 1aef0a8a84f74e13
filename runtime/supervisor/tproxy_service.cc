#include "runtime/supervisor/tproxy_service.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns/namespace/netns.h"
#include "runtime/control/json.h"
#include "runtime/tproxy/listeners.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

// Numbers that routers/services/tproxy.cc names in argv.
constexpr int kListenTcp = 3;
constexpr int kDnsUdp = 4;
constexpr int kDnsTcp = 5;
constexpr int kControl = 6;
constexpr int kConfig = 7;
constexpr int kDnsReply = 8;

// The configuration holds credentials: it travels in memory, not by a file.
Result<UniqueFd> configDescriptor(const std::string& text) {
  UniqueFd fd(::memfd_create("tproxy-config", MFD_CLOEXEC));
  if (!fd) return sysError(errno, "make a memory file");
  ORRERY_TRY(writeAll(fd.get(), text));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return sysError(errno, "rewind");
  return fd;
}

}  // namespace

TproxyService::TproxyService(EgressHost& host, tproxy::Config config,
                             std::function<void(bool)> onRunning, OnUpstream onUpstream)
    : host_(host),
      config_(std::move(config)),
      onRunning_(std::move(onRunning)),
      onUpstream_(std::move(onUpstream)),
      runner_(host.surroundings(), tproxyService(host.context()), *this) {}

void TproxyService::start() {
  runner_.start();
}
void TproxyService::stop() {
  control_.close();
  runner_.stop(std::chrono::milliseconds(0));
}

Status TproxyService::renew() {
  if (!control_) return sysError(ENOTCONN, "tproxy is not up");
  ORRERY_TRY(control_.send(fmt::format("{{\"epoch\":\"{}\"}}\n", ++epoch_)));
  cut("other circuits are wanted");
  return {};
}

void TproxyService::cut(const std::string& why) {
  if (!control_) return;  // without tproxy there are none
  cutFor_ = why;
  // ignoring: if it cannot be told it has ended, and its sockets with it
  (void)control_.send("{\"cut\":\"all\"}\n");
}

Result<std::vector<ServiceOwner::Gift>> TproxyService::prepareService(ServiceRunner&) {
  ORRERY_TRY_ASSIGN(const NetnsFd lan, openNetns(host_.context().spec.id.text()));
  ORRERY_TRY_ASSIGN(tproxy::Listeners listeners, tproxy::openListeners(lan));
  ORRERY_TRY_ASSIGN(UniqueFd config, configDescriptor(tproxy::toJson(config_)));
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return sysError(errno, "make a socket pair");
  pendingControl_.reset(pair[0]);
  std::vector<Gift> gifts;
  gifts.push_back({std::move(listeners.tcp), kListenTcp});
  gifts.push_back({std::move(listeners.dnsUdp), kDnsUdp});
  gifts.push_back({std::move(listeners.dnsTcp), kDnsTcp});
  gifts.push_back({UniqueFd(pair[1]), kControl});
  gifts.push_back({std::move(config), kConfig});
  gifts.push_back({std::move(listeners.dnsReply), kDnsReply});
  return gifts;
}

void TproxyService::serviceStarted(ServiceRunner&) {
  (void)control_.start(
      host_.surroundings().base, std::move(pendingControl_),
      [this](std::string_view line) { takeControl(line); }, [] {});
}

void TproxyService::takeControl(std::string_view line) {
  const auto json = parseJson(line, 64 << 10);
  if (!json) return;
  // Its resets are on their way: only now may connection tracking forget the flows, by which the
  // ruleset lets them pass.
  if (json->integer("cut", -1) >= 0) host_.cutFlows(cutFor_);
  if (json->text("event") == "ready") onRunning_(true);
  if (json->text("event") == "limit")
    host_.note(Severity::warning, "tproxy", "client-limit",
               {{"client", json->text("client")},
                {"refused", fmt::format("{}", json->integer("refused", 0))}});
  if (json->text("event") != "upstream") return;
  const bool reachable = json->boolean("reachable");
  host_.note(reachable ? Severity::info : Severity::warning, "tproxy", "upstream",
             {{"reachable", reachable ? "yes" : "no"}, {"why", json->text("error")}});
  if (onUpstream_) onUpstream_(reachable, json->text("error"));
}

void TproxyService::serviceLine(ServiceRunner&, std::string_view) {}

void TproxyService::serviceEnded(ServiceRunner&, const std::string& how) {
  control_.close();
  host_.cutFlows("tproxy ended");
  onRunning_(false);
  host_.note(Severity::warning, "tproxy", "ended", {{"how", how}});
}

}  // namespace orrery
