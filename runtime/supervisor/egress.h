// How a router's traffic leaves: one driver for each kind of egress, driven by the supervisor's
// loop.
//
// A driver brings its services up, checks what the far side says, applies it in the namespaces, and
// reports the rungs of its ladder. It never opens a path: the namespaces are closed before it runs,
// and what it does is put a working link into a place that the ruleset already names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "netns/addr/ip.h"
#include "routers/services/service_spec.h"
#include "runtime/control/json.h"
#include "runtime/control/state.h"
#include "runtime/supervisor/service_runner.h"

namespace orrery {

// What a driver may ask of, and tells, its supervisor.
class EgressHost {
 public:
  virtual ~EgressHost() = default;
  virtual const ServiceContext& context() const = 0;
  virtual const ServiceSurroundings& surroundings() const = 0;
  virtual void setRung(const std::string& rung, RungState state, std::string detail) = 0;
  virtual void setProgress(unsigned percent, std::string text) = 0;
  // Our address on what leads out, and the tunnel's or proxy's server in use.
  virtual void setWayOut(const std::optional<Prefix4>& address,
                         const std::optional<Endpoint>& server = std::nullopt) = 0;
  // The resolvers that the far side offers; the definition's own come first.
  virtual void setResolvers(const std::vector<Ipv4>& servers) = 0;
  // What clients have open by this egress ends: it is lost, or is another one now. The LAN
  // namespace's connection tracking forgets all flows, so that none goes on by what comes next; who
  // still sends is answered by a reset (routers/firewall/forwarding.cc). `why` is told if there
  // were any.
  virtual void cutFlows(const std::string& why) = 0;
  // Not to be mended by trying again: a wrong password, a refused profile.
  virtual void fail(const std::string& rung, std::string why) = 0;
  virtual void note(Severity severity, const std::string& service, const std::string& name,
                    std::vector<std::pair<std::string, std::string>> fields) = 0;
};

class Egress {
 public:
  virtual ~Egress() = default;
  virtual std::vector<std::string> rungs() const = 0;  // lowest first
  virtual Status start() = 0;
  virtual void stop() = 0;  // its services have ended when it returns
  virtual std::vector<const ServiceRunner*> services() const = 0;
  virtual ServiceRunner* find(std::string_view service) = 0;
  // A new exit or circuit for flows to come ("newnym"). ENOTSUP where there is none.
  virtual Status renew() = 0;
};

std::unique_ptr<Egress> makeEgress(EgressHost& host);

}  // namespace orrery
