#include "sandbox/seccomp/own_calls.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/bpf_common.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/seccomp/install.h"

namespace orrery {
namespace {

constexpr std::uint32_t kAddressLow = offsetof(seccomp_data, instruction_pointer);
constexpr std::uint32_t kAddressHigh = kAddressLow + 4;  // little endian
constexpr std::size_t kMaxRecord = 256;                  // bytes

// Of the handler, which has nothing else to be told by.
char gRecord[PATH_MAX] = "";

sock_filter load(std::uint32_t offset) {
  return {BPF_LD | BPF_W | BPF_ABS, 0, 0, offset};
}
sock_filter test(unsigned how, std::uint32_t k, std::uint8_t yes, std::uint8_t no) {
  return {static_cast<std::uint16_t>(BPF_JMP | BPF_K | how), yes, no, k};
}
sock_filter answer(std::uint32_t value) {
  return {BPF_RET | BPF_K, 0, 0, value};
}

// Addresses that share their upper half.
void addPiece(std::vector<sock_filter>& out, CodeRange piece) {
  const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
  out.push_back(load(kAddressHigh));
  out.push_back(test(BPF_JEQ, low(piece.first >> 32), 0, 4));
  out.push_back(load(kAddressLow));
  out.push_back(test(BPF_JGE, low(piece.first), 0, 2));
  out.push_back(test(BPF_JGT, low(piece.last), 1, 0));
  out.push_back(answer(SECCOMP_RET_TRAP));
}

// --- in the handler: system calls only -----------------------------------------------------------

class Line {
 public:
  void add(std::uint64_t value) noexcept {
    char digits[16];
    std::size_t count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % 16];
      value /= 16;
    } while (value != 0);
    while (count > 0 && size_ < sizeof text_ - 1) text_[size_++] = digits[--count];
    if (size_ < sizeof text_) text_[size_++] = ' ';
  }
  const char* text() const noexcept { return text_; }
  std::size_t size() const noexcept { return size_; }

 private:
  char text_[kMaxRecord]{};
  std::size_t size_ = 0;
};

void addArguments(Line& line, const ucontext_t& context) noexcept {
#if defined(__x86_64__)
  for (const int at : {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9})
    line.add(static_cast<std::uint64_t>(context.uc_mcontext.gregs[at]));
#elif defined(__aarch64__)
  for (int at = 0; at < 6; ++at) line.add(context.uc_mcontext.regs[at]);
#endif
}

void onRefusedCall(int, siginfo_t* info, void* context) noexcept {
  Line line;
  line.add(static_cast<std::uint64_t>(info->si_syscall));
  addArguments(line, *static_cast<const ucontext_t*>(context));
  line.add(static_cast<std::uint64_t>(::syscall(SYS_getpid)));
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
  const auto file = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, gRecord, kFlags, 0600));
  if (file >= 0) (void)::syscall(SYS_write, file, line.text(), line.size());
  for (;;) (void)::syscall(SYS_kill, ::syscall(SYS_getpid), SIGKILL);
}

}  // namespace

std::vector<CodeRange> ownCode() {
  struct Search {
    std::array<std::uint64_t, 2> wanted;
    std::vector<CodeRange> found;
  } search{{reinterpret_cast<std::uint64_t>(&onRefusedCall),
            reinterpret_cast<std::uint64_t>(&::syscall)},
           {}};
  (void)::dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* out) {
        auto& sought = *static_cast<Search*>(out);
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const ElfW(Phdr)& part = object->dlpi_phdr[i];
          if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0) continue;
          const CodeRange range{object->dlpi_addr + part.p_vaddr,
                                object->dlpi_addr + part.p_vaddr + part.p_memsz - 1};
          if (std::ranges::any_of(sought.wanted, [&](std::uint64_t at) {
                return at >= range.first && at <= range.last;
              }))
            sought.found.push_back(range);
        }
        return 0;
      },
      &search);
  return search.found;
}

std::vector<sock_filter> trapOwnCalls(std::span<const sock_filter> program,
                                      const std::vector<CodeRange>& own) {
  std::vector<sock_filter> out(program.begin(), program.end());
  const std::size_t tail = out.size();
  for (std::size_t at = 0; at < tail; ++at)
    if (out[at].code == (BPF_RET | BPF_K) && out[at].k == SECCOMP_RET_TRACE)
      out[at] = {BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(tail - at - 1)};
  constexpr std::uint64_t kLowHalf = 0xffffffff;
  for (const CodeRange& range : own) {
    std::uint64_t first = range.first;
    for (; (first | kLowHalf) < range.last; first = (first | kLowHalf) + 1)
      addPiece(out, {first, first | kLowHalf});
    addPiece(out, {first, range.last});
  }
  out.push_back(answer(SECCOMP_RET_TRACE));
  return out;
}

Status confineToCalls(std::span<const sock_filter> program, const std::string& record) {
  if (record.size() >= sizeof gRecord) return error("'{}' is too long a path", record);
  record.copy(gRecord, record.size());
  gRecord[record.size()] = '\0';
  struct sigaction action {};
  action.sa_sigaction = [](int number, siginfo_t* info, void* context) {
    onRefusedCall(number, info, context);
  };
  action.sa_flags = SA_SIGINFO;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return sysError(errno, "handle SIGSYS");
  const std::vector<sock_filter> filter = trapOwnCalls(program, ownCode());
  const int done = installSeccomp(filter, kSeccompLog);
  if (done < 0) return sysError(-done, "install a seccomp filter");
  return {};
}

Result<unsigned> installedFilters() {
  ORRERY_TRY_ASSIGN(const std::string status, readFile("/proc/self/status", 64 << 10));
  constexpr std::string_view kName = "\nSeccomp_filters:\t";  // Linux 5.9
  const std::size_t at = status.find(kName);
  if (at == std::string::npos) return error("this kernel does not count seccomp filters");
  const auto words = splitWords(std::string_view(status).substr(at + kName.size(), 16));
  const auto count = words.empty() ? std::nullopt : parseNumber<unsigned>(words[0]);
  if (!count) return error("/proc/self/status is odd");
  return *count;
}

std::optional<RefusedCall> takeRefusedCall(const std::string& record) {
  const auto text = readForeignFile(record, kMaxRecord);
  if (!text) return std::nullopt;
  (void)removeFile(record);
  const auto words = splitWords(*text);
  RefusedCall call;
  if (words.size() != call.args.size() + 2) return std::nullopt;
  std::vector<std::uint64_t> values;
  for (const std::string_view word : words) {
    const auto value = parseNumber<std::uint64_t>(word, 16);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  call.number = static_cast<int>(values.front());
  std::copy_n(values.begin() + 1, call.args.size(), call.args.begin());
  call.pid = static_cast<int>(values.back());
  return call;
}

}  // namespace orrery
