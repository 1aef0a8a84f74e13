// Owners of file descriptors. Every descriptor we open is CLOEXEC from birth.
#pragma once

#include <unistd.h>

#include <utility>

namespace orrery {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& o) noexcept : fd_(o.release()) {}
  UniqueFd& operator=(UniqueFd&& o) noexcept {
    reset(o.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) (void)::close(fd_);  // close() is not retried on EINTR: Linux has closed it
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

// Descriptors that must not be mixed up get a type each.
template <class Tag>
class FdOf : public UniqueFd {
 public:
  using UniqueFd::UniqueFd;
  explicit FdOf(UniqueFd f) : UniqueFd(std::move(f)) {}
};

using NetnsFd = FdOf<struct NetnsTag>;  // a network namespace (nsfs)
using PidFd = FdOf<struct PidTag>;      // a process (pidfd_open(2), CLONE_PIDFD)

}  // namespace orrery
