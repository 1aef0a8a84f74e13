// The host-side process of a router, from outside: starting it, finding it again, ending it.
#pragma once

#include <string>

#include "runtime/engine/kernel_world.h"

namespace orrery {

// Tells the router's supervisor, if one runs, that there is another set of reservations
// (reservationDirectory) than before.
Status announceReservations(const RouterId& router);
// The same for who must know that they are in force: from its return on, a client that asks by DHCP
// gets what is reserved for it. With no supervisor there they are read when one starts. Err
// ETIMEDOUT if it does not answer.
Status applyReservations(const RouterId& router);

class SupervisorProcesses : public SupervisorControl {
 public:
  // `program` is orrery-supervisor's path.
  explicit SupervisorProcesses(std::string program) : program_(std::move(program)) {}
  // Fails if one runs. After a failure nothing of it is left.
  Status start(const RouterId& router) override;
  Status stop(const RouterId& router) override;
  // Asks it to end without waiting: stopping many takes as long as stopping one.
  Status signalStop(const RouterId& router);
  Result<bool> running(const RouterId& router);

 private:
  Status launch(const RouterId& router, const std::string& incarnation);

  std::string program_;
};

}  // namespace orrery
