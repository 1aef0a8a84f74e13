#include "runtime/tproxy/relay/pipe_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace orrery::tproxy {
namespace {

constexpr std::size_t kSpare = 8;
// Pages in a pipe are slots: small segments take one each, so a larger ring carries more of them
// per call. Beyond /proc/sys/fs/pipe-user-pages-soft the kernel refuses and the 64 KiB remain.
constexpr int kPipeBytes = 256 * 1024;

}  // namespace

Pipe PipePool::take() {
  if (inUse_ >= limit_) return {};
  if (!spare_.empty()) {
    Pipe pipe = std::move(spare_.back());
    spare_.pop_back();
    ++inUse_;
    return pipe;
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {};
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  (void)::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes);
  ++inUse_;
  return pipe;
}

void PipePool::give(Pipe pipe) {
  --inUse_;
  if (spare_.size() < kSpare) spare_.push_back(std::move(pipe));
}

void PipePool::discard(Pipe pipe) {
  --inUse_;
  pipe = {};
}

}  // namespace orrery::tproxy
