#include "runtime/supervisor/nic_return.h"

#include <algorithm>

#include "netns/namespace/netns.h"
#include "runtime/control/paths.h"
#include "runtime/engine/file_journal.h"
#include "runtime/engine/nic_note.h"

namespace orrery {
namespace {

Result<NicResource> nicOf(const RouterId& router) {
  ORRERY_TRY_ASSIGN(const auto resources, readJournal(RouterPaths(router).journal));
  for (const Resource& resource : resources)
    if (const auto* nic = std::get_if<NicResource>(&resource)) return *nic;
  return sysError(ENOENT, "no NIC in the journal of {}", router.text());
}

}  // namespace

Status NicReturn::await(event_base* base, const RouterId& router,
                        std::function<void(const Error&)> hindered) {
  hindered_ = std::move(hindered);
  ORRERY_TRY_ASSIGN(NicResource nic, nicOf(router));
  ORRERY_TRY_ASSIGN(const NetnsFd inside, openNetns(nic.netns));
  ORRERY_TRY_ASSIGN(const NetnsFd outside, openNetns(""));
  ORRERY_TRY_ASSIGN(Rtnl own, Rtnl::open(inside));
  ORRERY_TRY_ASSIGN(Rtnl host, Rtnl::open(outside));
  // The monitor first, then the look: no change falls between.
  ORRERY_TRY_ASSIGN(RtnlMonitor links, RtnlMonitor::openForLinks(outside));
  nic_ = std::move(nic);
  router_.emplace(std::move(own));
  host_.emplace(std::move(host));
  links_.emplace(std::move(links));
  ORRERY_TRY_ASSIGN(watch_, ReadWatch::start(base, links_->fd(), [this] { readable(); }));
  tryToTake();
  return {};
}

void NicReturn::stop() {
  watch_.stop();
  links_.reset();
  host_.reset();
  router_.reset();
}

void NicReturn::readable() {
  const auto events = links_->read();
  if (events && std::ranges::none_of(*events, [](const RtnlEvent& event) {
        return std::holds_alternative<LinkChanged>(event) ||
               std::holds_alternative<Overflow>(event);
      }))
    return;
  tryToTake();
}

void NicReturn::tryToTake() {
  const Status taken = takeNic(*host_, *router_, nicNoteOf(*nic_), NicWear{nic_->name, nic_->mac});
  // ENODEV: it is not there, or it has just gone again.
  if (!taken && taken.error().err != ENODEV) hindered_(taken.error());
}

}  // namespace orrery
