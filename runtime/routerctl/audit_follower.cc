#include "runtime/routerctl/audit_follower.h"

#include <poll.h>

#include <algorithm>
#include <iterator>

#include "netns/namespace/netns.h"
#include "runtime/control/paths.h"
#include "runtime/engine/placement.h"

namespace orrery {
namespace {

using namespace audit;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{2000};  // of the auditor: longer than news take
constexpr milliseconds kAnswer{5000};
constexpr milliseconds kQuiet{20};   // changes come in bursts: one look for each
constexpr milliseconds kBurst{200};  // that does not end: a look meanwhile
constexpr milliseconds kLook{1000};  // where nothing tells: programs on links, a next supervisor

bool sameLinks(const std::vector<PlannedWatch>& a, const std::vector<PlannedWatch>& b) {
  return std::ranges::equal(a, b, [](const PlannedWatch& x, const PlannedWatch& y) {
    return x.netns == y.netns && x.device == y.device && x.index == y.index;
  });
}

std::vector<LinkContract> contractsOf(const std::vector<PlannedWatch>& watches) {
  std::vector<LinkContract> contracts;
  for (const PlannedWatch& each : watches) contracts.push_back(each.link.contract);
  return contracts;
}

const PlannedWatch* findLink(const std::vector<PlannedWatch>& watches, const std::string& name) {
  const auto at = std::ranges::find_if(
      watches, [&](const PlannedWatch& each) { return each.link.name == name; });
  return at == watches.end() ? nullptr : &*at;
}

std::vector<std::string> namespacesOf(const RouterPaths& paths) {
  return {paths.lanNetns, paths.egressNetns};
}

// Progress and blocked calls change no fact.
bool tellsOfFacts(const Event& event) {
  return event.name != kProgressEvent && event.name != kBlockedEvent &&
         event.name != kReservationsEvent;
}

}  // namespace

void AuditFollower::connect() {
  if (control_) return;
  auto client = ControlClient::connect(RouterPaths(query_.id, query_.root).control);
  if (!client) return;
  auto state = client->subscribe(after(kAnswer));
  if (!state) return;
  control_ = std::move(*client);
  query_.state = std::move(*state);
}

// Opened before the look, so that no change falls in between.
Status AuditFollower::listen() {
  monitors_.clear();
  const RouterPaths paths(query_.id, query_.root);
  std::vector<std::string> namespaces = namespacesOf(paths);
  for (const PlannedWatch& each : watches_) namespaces.push_back(each.netns);
  std::ranges::sort(namespaces);
  namespaces.erase(std::unique(namespaces.begin(), namespaces.end()), namespaces.end());
  for (const std::string& name : namespaces) {
    const auto netns = openNetns(name);
    if (!netns && netns.error().err == ENOENT) continue;
    if (!netns) return tl::unexpected<Error>(netns.error());
    ORRERY_TRY_ASSIGN(RtnlMonitor monitor, RtnlMonitor::open(*netns));
    monitors_.push_back(std::move(monitor));
  }
  return {};
}

Status AuditFollower::start() {
  connect();
  ORRERY_TRY_ASSIGN(const LiveRouter router, lookAt(query_));
  ORRERY_TRY_ASSIGN(watches_, planWatches(router));
  ORRERY_TRY_ASSIGN(auto opened, openWatches(watches_));
  ORRERY_TRY_ASSIGN(AuditorProcess auditor,
                    AuditorProcess::start(std::move(opened), "", auditorHome(router), kPatience));
  auditor_.emplace(std::move(auditor));
  ORRERY_TRY(listen());
  context_.console.note("routerctl: watching " + query_.id.text());
  return {};
}

void AuditFollower::record(Json event) {
  event.set("schema", "orrery.audit/1");
  event.set("network", query_.id.network);
  event.set("router", query_.id.name);
  context_.console.record(event);
}

void AuditFollower::tell(Json event) {
  const std::string kind = event.text("event");
  if (kind == "lost")
    context_.console.note(fmt::format(
        "routerctl: cannot say whether all that left by the {} may: the kernel lost {} frames",
        event.text("link"), event.integer("frames")));
  if (kind == "violation" || kind == "lost") record(std::move(event));
}

Status AuditFollower::lookAtTraffic() {
  std::set<std::string> found;
  for (const std::string& name : namespacesOf(RouterPaths(query_.id, query_.root))) {
    const auto foreign = foreignTraffic(name);
    if (!foreign && foreign.error().err == EPERM) return tl::unexpected<Error>(foreign.error());
    if (foreign) found.insert(foreign->begin(), foreign->end());
    // In the middle of a change: what was there is still there as far as we know.
    if (!foreign && foreign.error().err != ENOENT)
      std::ranges::copy_if(attached_, std::inserter(found, found.end()),
                           [&](const std::string& each) { return each.starts_with(name + ": "); });
  }
  for (const std::string& each : found)
    if (!attached_.contains(each)) record(Json::object({{"event", "attached"}, {"finding", each}}));
  attached_ = std::move(found);
  nextLook_ = std::chrono::steady_clock::now() + kLook;
  return {};
}

Status AuditFollower::tellAll() {
  while (auditor_->hasLine()) {
    ORRERY_TRY_ASSIGN(Json event, auditor_->nextLine(kAnswer));
    tell(std::move(event));
  }
  return {};
}

bool AuditFollower::readControl() {
  bool news = false;
  do {
    const auto event = control_->nextEvent(after(kAnswer));
    if (!event) {
      control_.reset();
      query_.state.reset();
      return true;
    }
    news = news || tellsOfFacts(*event);
  } while (control_->hasEvent());
  if (!news) return false;
  const auto reply =
      control_->request({std::string(verb::kStatus), Json::object()}, after(kAnswer));
  auto state = reply ? stateFromJson(*reply) : tl::unexpected<Error>(reply.error());
  if (state)
    query_.state = std::move(*state);
  else
    control_.reset();
  return true;
}

Result<bool> AuditFollower::wait() {
  std::vector<pollfd> items = {{auditor_->fd(), POLLIN, 0},
                               {control_ ? control_->fd() : -1, POLLIN, 0}};
  for (const RtnlMonitor& monitor : monitors_) items.push_back({monitor.fd(), POLLIN, 0});
  const auto left = std::chrono::ceil<milliseconds>(nextLook_ - std::chrono::steady_clock::now());
  const auto sleep = std::max(milliseconds(0), left);
  const int ready = ::poll(items.data(), items.size(), static_cast<int>(sleep.count()));
  if (ready < 0 && errno != EINTR) return sysError(errno, "wait for the auditor");
  bool news = false;
  if (std::chrono::steady_clock::now() >= nextLook_) {
    ORRERY_TRY(lookAtTraffic());
    news = stale_ || !control_;
  }
  if (ready <= 0) return news;
  if (items[0].revents != 0) {
    ORRERY_TRY_ASSIGN(Json event, auditor_->nextLine(kAnswer));
    tell(std::move(event));
    ORRERY_TRY(tellAll());  // poll(2) does not see what was read along
  }
  const bool changes = std::any_of(items.begin() + 2, items.end(),
                                   [](const pollfd& item) { return item.revents != 0; });
  if (changes) ORRERY_TRY(awaitQuiet(monitors_, kQuiet, kBurst));
  news = news || changes;
  if (control_ && items[1].revents != 0) news = readControl() || news;
  return news;
}

// Contracts of the links that stay: the old one first, so that the new one finds it excusing.
Status AuditFollower::exchange(std::vector<PlannedWatch> planned, const LiveRouter& router) {
  std::vector<PlannedWatch> first = planned;
  for (PlannedWatch& each : first)
    if (const PlannedWatch* before = findLink(watches_, each.link.name))
      each.link.contract = before->link.contract;
  ORRERY_TRY_ASSIGN(auto opened, openWatches(first));
  ORRERY_TRY_ASSIGN(AuditorProcess next,
                    AuditorProcess::start(std::move(opened), "", auditorHome(router), kPatience));
  ORRERY_TRY(next.setContracts(contractsOf(planned), kAnswer));
  std::vector<LinkContract> last;
  for (const PlannedWatch& each : watches_) {
    const PlannedWatch* now = findLink(planned, each.link.name);
    last.push_back(now != nullptr ? now->link.contract : each.link.contract);
  }
  ORRERY_TRY(auditor_->setContracts(std::move(last), kAnswer));
  ORRERY_TRY(auditor_->report(kAnswer));
  ORRERY_TRY(tellAll());
  auditor_.emplace(std::move(next));
  watches_ = std::move(planned);
  return {};
}

Result<AuditFollower::Look> AuditFollower::lookAgain() {
  connect();
  ORRERY_TRY(listen());
  if (const auto spec = readSpec(query_.id); !spec && spec.error().err == ENOENT) return Look::gone;
  const auto router = lookAt(query_);
  if (!router) return Look::later;
  auto planned = planWatches(*router);
  if (!planned) return Look::later;
  if (!sameLinks(*planned, watches_)) {
    if (!exchange(*std::move(planned), *router)) return Look::later;
    return Look::current;
  }
  ORRERY_TRY(auditor_->setContracts(contractsOf(*planned), kAnswer));
  ORRERY_TRY(tellAll());
  watches_ = std::move(*planned);
  return Look::current;
}

Status AuditFollower::run() {
  ORRERY_TRY(start());
  for (bool news = true;;) {  // what changed between the first look and the monitors
    if (news) {
      ORRERY_TRY_ASSIGN(const Look look, lookAgain());
      if (look == Look::gone) {
        context_.console.note("routerctl: " + query_.id.text() + " is gone");
        return {};
      }
      stale_ = look == Look::later;
    }
    ORRERY_TRY_ASSIGN(news, wait());
  }
}

}  // namespace orrery
