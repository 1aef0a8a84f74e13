// The portal of a router, as Multiverse's VMs have it: two files in
// /run/multiverse/portals/<router>.router.<network>/.
//
//   status.out       one JSON event a line, with "seconds" since the supervisor's start; readable
//   by
//                    everybody, written by root; at 1 MiB it becomes status.out.1 and begins anew
//   virtserial-sock  the control protocol with the verbs status, reset, newnym and egress, for the
//                    owner and root
//
// The directory belongs to root: its owner could otherwise replace a file by a link and have root
// write elsewhere.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/control/events.h"
#include "runtime/control/paths.h"
#include "runtime/control/server.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

struct PortalOptions {
  uid_t owner = 0;
  gid_t group = 0;
  std::uint64_t maxStatusBytes = 1u << 20;
};

class Portal {
 public:
  static Result<std::unique_ptr<Portal>> create(event_base* base, const RouterPaths& paths,
                                                const PortalOptions& options,
                                                ControlHandler& handler);
  ~Portal();  // removes the socket; status.out stays until `destroy`

  // Appends to status.out.
  Status record(const Event& event);

 private:
  Portal() = default;
  Status openStatus();
  Status rotate();

  std::string path_;
  std::uint64_t maxBytes_ = 0;
  std::uint64_t bytes_ = 0;
  std::int64_t startMs_ = 0;
  UniqueFd status_;
  std::unique_ptr<ControlServer> server_;
};

}  // namespace orrery
