// A universe's NIC that is gone from its router (pulled out, its driver unbound) and comes back:
// the kernel makes it in the first network namespace, the host's. It is taken up again from there
// as spawn took it, by the note in the router's journal, which tells that very NIC from others; a
// stranger stays where it is.
//
// The host's links are followed only as long as the NIC is away.
#pragma once

#include <functional>
#include <optional>

#include "netns/netlink/rtnl.h"
#include "routers/plan/resource.h"
#include "runtime/supervisor/loop.h"

namespace orrery {

class NicReturn {
 public:
  // In the host's namespace, where the supervisor runs. Tries at once, then whenever a link of the
  // host changes, until the NIC is in the router's namespace, down; whoever watches that one sees
  // it. `hindered` hears why it could not be taken though it was there.
  Status await(event_base* base, const RouterId& router,
               std::function<void(const Error&)> hindered);
  void stop();

 private:
  void readable();
  void tryToTake();

  std::optional<NicResource> nic_;
  std::optional<Rtnl> host_;
  std::optional<Rtnl> router_;
  std::optional<RtnlMonitor> links_;
  ReadWatch watch_;
  std::function<void(const Error&)> hindered_;
};

}  // namespace orrery
