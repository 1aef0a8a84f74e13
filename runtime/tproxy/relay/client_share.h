// What one client has of what all flows share.
#pragma once

#include <cstdint>

namespace orrery::tproxy {

struct ClientShare {
  std::uint32_t connections = 0;  // open
  std::uint32_t pipes = 0;        // with bytes in flight
  std::uint32_t waiting = 0;      // flows that have more to do and wait for their next turn
};

}  // namespace orrery::tproxy
