// tor's data directory, of a bounded size.
//
// tor's is a tmpfs (torDataDirectory), so that one that has been taken over fills no disk, whatever
// it makes, removes or holds open, and finds an end before the router's memory is used up. It
// outlives tor and supervisors, and goes with the router. What must outlive a reboot, tor's guards,
// and what spares it a long start, is copied by us to the disk and back (torStateDirectory, which
// tor does not see): files of fixed names, within the size of the tmpfs.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "routers/services/service_spec.h"
#include "sandbox/base/result.h"

namespace orrery {

class TorData {
 public:
  explicit TorData(const ServiceContext& at);

  // Mounts it, unless a predecessor has; then false. Before tor's first start.
  Result<bool> open();
  // Fills it with what was kept. What fails to be copied, tor makes or downloads anew.
  Status fill() const;
  // Copies the guards, if tor has written them since.
  Status keepGuards();
  // All that is kept. Blocks for as long as that takes to copy: when tor has ended for good.
  Status keepAll();
  // Less than a sixteenth of it is left.
  bool full() const;

 private:
  Status copyAll(const std::string& from, const std::string& to, uid_t owner) const;

  std::string data_;
  std::string kept_;
  std::uint64_t bytes_;
  uid_t user_;
  bool opened_ = false;
  ino_t guards_ = 0;  // the file that was copied last: tor writes a new one each time
  timespec written_{};
};

}  // namespace orrery
