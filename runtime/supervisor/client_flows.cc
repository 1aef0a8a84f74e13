#include "runtime/supervisor/client_flows.h"

#include <algorithm>
#include <utility>

#include "netns/conntrack/nudge.h"
#include "netns/namespace/netns.h"

namespace orrery {

Status ClientFlows::watch(event_base* base, std::function<void(std::size_t)> onTold) {
  if (isProxied(spec_.egress)) return {};
  onTold_ = std::move(onTold);
  ORRERY_TRY_ASSIGN(const NetnsFd lan, openNetns(spec_.id.text()));
  ORRERY_TRY_ASSIGN(forgotten_, ForgottenFlows::watch(lan));
  ORRERY_TRY_ASSIGN(watch_, ReadWatch::start(base, forgotten_->fd(), [this] { readable(); }));
  return {};
}

Result<std::size_t> ClientFlows::cut() {
  ORRERY_TRY_ASSIGN(const NetnsFd lan, openNetns(spec_.id.text()));
  ORRERY_TRY_ASSIGN(Conntrack tracking, Conntrack::open(lan));
  // Without the list nobody is told, but all is forgotten.
  auto flows = tracking.list().value_or(std::vector<TrackedFlow>{});
  ORRERY_TRY(tracking.forgetAll());
  // What the kernel forgot before the list was made, and again most of the list itself.
  if (forgotten_) {
    const auto more = forgotten_->read().value_or(std::vector<TrackedFlow>{});
    flows.insert(flows.end(), more.begin(), more.end());
  }
  flows = ofClients(std::move(flows));
  ORRERY_TRY(tell(lan, flows));
  return flows.size();
}

void ClientFlows::readable() {
  auto read = forgotten_->read();
  if (!read) return;
  const auto flows = ofClients(std::move(*read));
  if (flows.empty()) return;
  const auto lan = openNetns(spec_.id.text());
  if (lan && tell(*lan, flows)) onTold_(flows.size());
}

std::vector<TrackedFlow> ClientFlows::ofClients(std::vector<TrackedFlow> flows) const {
  const Prefix4 own = spec_.lan.address;
  std::erase_if(flows, [&](const TrackedFlow& flow) {
    return !own.contains(flow.source) || own.contains(flow.destination);
  });
  std::ranges::sort(flows);
  const auto again = std::ranges::unique(flows);
  flows.erase(again.begin(), again.end());
  return flows;
}

Status ClientFlows::tell(const NetnsFd& lan, const std::vector<TrackedFlow>& flows) const {
  if (isProxied(spec_.egress)) return {};
  ORRERY_TRY(nudge(lan, flows));
  return {};
}

}  // namespace orrery
