// Pipes for splice(2). A flow holds one only while bytes are in flight, so idle connections cost
// none; a few empty ones are kept for the next.
#pragma once

#include <cstddef>
#include <vector>

#include "sandbox/base/fd.h"

namespace orrery::tproxy {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  explicit operator bool() const { return static_cast<bool>(read); }
};

class PipePool {
 public:
  // At most `limit` pipes in use.
  explicit PipePool(std::size_t limit) : limit_(limit) {}

  // Empty if the limit or the process's descriptors are used up: the caller then copies.
  Pipe take();
  // Gives back a pipe that is empty.
  void give(Pipe pipe);
  // For a pipe that still holds bytes: it is closed.
  void discard(Pipe pipe);

  std::size_t inUse() const { return inUse_; }
  std::size_t spare() const { return spare_.size(); }

 private:
  std::size_t limit_;
  std::size_t inUse_ = 0;
  std::vector<Pipe> spare_;
};

}  // namespace orrery::tproxy
