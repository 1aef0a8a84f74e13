// The kernel behind the plan's door: each resource by netlink, nfnetlink, procfs and system calls.
//
// Runs in routerctl (root, host namespaces). Namespaces are entered by a thread that ends at once;
// one rtnetlink and one nftables socket a namespace is opened at its first use and kept until the
// namespace is removed, or many others have been used after it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "netns/netlink/rtnl.h"
#include "netns/nft/nft.h"
#include "routers/plan/execute.h"
#include "sandbox/cgroup/cgroup.h"

namespace orrery {

// Starts and stops the host-side process of a router.
class SupervisorControl {
 public:
  virtual ~SupervisorControl() = default;
  virtual Status start(const RouterId& router) = 0;  // returns when its control socket listens
  virtual Status stop(const RouterId& router) = 0;   // returns when it and its services have ended
};

class KernelWorld : public World {
 public:
  // `cgroups` may be null: limits are then left out.
  KernelWorld(SupervisorControl& supervisors, const CgroupTree* cgroups)
      : supervisors_(supervisors), cgroups_(cgroups) {}

  Status admit(const Step& step) override;
  Status apply(const Step& step) override;

  struct Place {
    NetnsFd netns;
    Rtnl rtnl;
    std::optional<NftSocket> nft;
    std::uint64_t lastUse = 0;
  };
  // The namespace's sockets; "" is the host's, whose stay open. Others may be closed by the use of
  // a further namespace.
  Result<Place*> place(const std::string& netns);

 private:
  Status create(const Resource& resource);
  Status remove(const Resource& resource);
  // Of what its namespace will take along: only what it holds of others.
  Status release(const Resource& resource);
  Status replace(const Resource& before, const Resource& after);

  Status createIn(const FileResource& r);
  Status createIn(const NetnsResource& r);
  Status createIn(const SysctlsResource& r);
  Status createIn(const RulesetResource& r);
  Status createIn(const BridgeResource& r);
  Status createIn(const VethResource& r);
  Status createIn(const NicResource& r);
  Status createIn(const LinkUpResource& r);
  Status createIn(const AddressResource& r);
  Status createIn(const RouteResource& r);
  Status createIn(const MarkRuleResource& r);
  Status createIn(const CgroupResource& r);
  Status createIn(const SupervisorResource& r);

  Status removeFrom(const FileResource& r);
  Status removeFrom(const NetnsResource& r);
  Status removeFrom(const SysctlsResource& r);
  Status removeFrom(const RulesetResource& r);
  Status removeFrom(const BridgeResource& r);
  Status removeFrom(const VethResource& r);
  Status removeFrom(const NicResource& r);
  Status removeFrom(const LinkUpResource& r);
  Status removeFrom(const AddressResource& r);
  Status removeFrom(const RouteResource& r);
  Status removeFrom(const MarkRuleResource& r);
  Status removeFrom(const CgroupResource& r);
  Status removeFrom(const SupervisorResource& r);

  Result<NftSocket*> rulesOf(Place& at);
  // Makes the port's owner known to the bridge's guard.
  Status admitPort(Place& outer, const VethResource& r);
  Status dismissPort(Place& outer, const VethResource& r);

  // The namespace's sockets, or none if the namespace is gone.
  Result<Place*> placeIfAny(const std::string& netns);
  // Before one more is opened: a set of a thousand routers must not need all their descriptors.
  void closeOldPlaces();

  SupervisorControl& supervisors_;
  const CgroupTree* cgroups_;
  std::map<std::string, std::unique_ptr<Place>> places_;
  std::uint64_t uses_ = 0;  // of places, ever
};

}  // namespace orrery
