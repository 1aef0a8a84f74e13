// tproxy as a service: its listeners, its configuration, its control line. Used by the Tor and the
// SOCKS5 egress.
#pragma once

#include <memory>
#include <string>

#include "runtime/supervisor/egress.h"
#include "runtime/supervisor/line_socket.h"
#include "runtime/tproxy/config.h"

namespace orrery {

class TproxyService : public ServiceOwner {
 public:
  using OnUpstream = std::function<void(bool reachable, const std::string& why)>;
  // `onUpstream`: the first connection to the other side, and each that ended differently from the
  // one before. Nobody dials on its own account.
  TproxyService(EgressHost& host, tproxy::Config config, std::function<void(bool)> onRunning,
                OnUpstream onUpstream = {});
  void start();
  void stop();
  ServiceRunner& runner() { return runner_; }
  const ServiceRunner& runner() const { return runner_; }
  // Flows to come use other circuits than those before; open flows are cut.
  Status renew();
  // Open flows are reset, those that wait for the other side's answer too.
  void cut(const std::string& why);

 private:
  Result<std::vector<Gift>> prepareService(ServiceRunner& service) override;
  void serviceStarted(ServiceRunner& service) override;
  void serviceLine(ServiceRunner& service, std::string_view line) override;
  void serviceEnded(ServiceRunner& service, const std::string& how) override;
  void takeControl(std::string_view line);

  EgressHost& host_;
  tproxy::Config config_;
  std::function<void(bool)> onRunning_;
  OnUpstream onUpstream_;
  ServiceRunner runner_;
  UniqueFd pendingControl_;
  LineSocket control_;
  std::uint64_t epoch_ = 0;
  std::string cutFor_;
};

}  // namespace orrery
