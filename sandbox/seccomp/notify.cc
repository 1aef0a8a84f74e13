#include "sandbox/seccomp/notify.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxRead = 4096;  // bytes; the largest structure that we look at is an ifreq
constexpr int kMaxErrno = 4095;

}  // namespace

Result<SeccompListener> SeccompListener::open(UniqueFd listener) {
  seccomp_notif_sizes sizes{};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0)
    return sysError(errno, "ask for the sizes of seccomp notifications");
  if (sizes.seccomp_notif > sizeof(seccomp_notif) ||
      sizes.seccomp_notif_resp > sizeof(seccomp_notif_resp))
    return error("this kernel's seccomp notifications have {} and {} bytes; {} and {} are known",
                 sizes.seccomp_notif, sizes.seccomp_notif_resp, sizeof(seccomp_notif),
                 sizeof(seccomp_notif_resp));
  return SeccompListener(std::move(listener));
}

Result<std::optional<SeccompNotification>> SeccompListener::receive() const {
  seccomp_notif raw{};  // must be zero on entry
  if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_RECV, &raw) != 0) {
    if (errno == ENOENT || errno == EINTR) return std::optional<SeccompNotification>{};
    return sysError(errno, "receive a seccomp notification");
  }
  SeccompNotification out;
  out.id = raw.id;
  out.pid = static_cast<pid_t>(raw.pid);
  out.arch = raw.data.arch;
  out.number = raw.data.nr;
  for (std::size_t i = 0; i < out.args.size(); ++i) out.args.at(i) = raw.data.args[i];
  return std::optional<SeccompNotification>(out);
}

bool SeccompListener::isPending(std::uint64_t id) const {
  return ::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

SeccompListener::Ready SeccompListener::ready() const {
  pollfd p{fd_.get(), POLLIN, 0};
  if (::poll(&p, 1, 0) <= 0) return Ready::nothing;
  if ((p.revents & POLLIN) != 0) return Ready::call;
  return Ready::nobody;  // POLLHUP, Linux 5.9
}

Result<bool> SeccompListener::letGo(std::uint64_t id) const {
  return answer(id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

Result<bool> SeccompListener::answer(std::uint64_t id, std::int64_t value, int err,
                                     unsigned flags) const {
  seccomp_notif_resp response{};
  response.flags = flags;
  response.id = id;
  response.val = value;
  response.error = err;
  if (::ioctl(fd_.get(), SECCOMP_IOCTL_NOTIF_SEND, &response) == 0) return true;
  if (errno == ENOENT) return false;
  return sysError(errno, "answer a seccomp notification");
}

Result<bool> SeccompListener::answerError(std::uint64_t id, int err) const {
  if (err < 1 || err > kMaxErrno) return error("{} is no errno to answer a system call with", err);
  return answer(id, 0, -err);
}

Result<bool> SeccompListener::answerValue(std::uint64_t id, std::int64_t value) const {
  return answer(id, value, 0);
}

Status SeccompListener::readMemory(const SeccompNotification& call, std::uint64_t address,
                                   std::span<std::byte> out) const {
  if (out.size() > kMaxRead) return error("{} bytes of a caller's memory are too many", out.size());
  if (call.pid <= 0) return error("the caller is outside of this pid namespace");
  ORRERY_TRY_ASSIGN(const UniqueFd memory,
                    openFile(fmt::format("/proc/{}/mem", call.pid), O_RDONLY));
  // The pid may have been given to another process before the file was opened. If the call still
  // is pending now, it was not, and the file stays that process's.
  if (!isPending(call.id)) return error("the caller is gone");
  const ssize_t n = ::pread(memory.get(), out.data(), out.size(), static_cast<off_t>(address));
  if (n < 0) return sysError(errno, "read the caller's memory at {:#x}", address);
  if (static_cast<std::size_t>(n) != out.size())
    return error("the caller's memory at {:#x} ends after {} bytes", address, n);
  if (!isPending(call.id)) return error("the caller is gone");
  return {};
}

DecodedCall decode(const SeccompNotification& call) {
  const bool arm = call.arch == AUDIT_ARCH_AARCH64;
  return decodeCall(arm ? SeccompArch::aarch64 : SeccompArch::x86_64, call.number, call.args);
}

std::string toText(const SeccompNotification& call) {
  return toText(decode(call));
}

seccomp_data dataOf(const SeccompNotification& call) {
  seccomp_data data{};
  data.nr = call.number;
  data.arch = call.arch;
  std::copy(call.args.begin(), call.args.end(), std::begin(data.args));
  return data;
}

}  // namespace orrery
