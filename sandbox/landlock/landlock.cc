#include "sandbox/landlock/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/base/file.h"

namespace orrery {
namespace {

// linux/landlock.h of Linux 6.12; Debian 12's ends at REFER.
constexpr std::uint64_t kTruncate = 1U << 14;            // ABI 3
constexpr std::uint64_t kIoctlDev = 1U << 15;            // ABI 5
constexpr std::uint64_t kScopeAbstractSocket = 1U << 0;  // ABI 6
constexpr std::uint64_t kScopeSignal = 1U << 1;          // ABI 6

struct RulesetAttributes {  // landlock_ruleset_attr; older kernels take its first members
  std::uint64_t files = 0;
  std::uint64_t network = 0;  // ABI 4
  std::uint64_t scoped = 0;   // ABI 6
};

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrite = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                                 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                                 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |
                                 LANDLOCK_ACCESS_FS_REFER | kTruncate;
// Nobody needs to make device nodes, so no rule ever allows it.
constexpr std::uint64_t kNever = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
constexpr std::uint64_t kOnFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                   LANDLOCK_ACCESS_FS_READ_FILE | kTruncate | kIoctlDev;

std::uint64_t handledBy(int abi) {
  std::uint64_t bits = kRead | kWrite | kNever | LANDLOCK_ACCESS_FS_EXECUTE | kIoctlDev;
  if (abi < 2) bits &= ~std::uint64_t{LANDLOCK_ACCESS_FS_REFER};
  if (abi < 3) bits &= ~kTruncate;
  if (abi < 5) bits &= ~kIoctlDev;
  return bits;
}

std::uint64_t bitsOf(const LandlockAccess& access) {
  std::uint64_t bits = 0;
  if (access.read) bits |= kRead;
  if (access.execute) bits |= LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
  if (access.write) bits |= kWrite;
  if (access.devices) bits |= kIoctlDev;
  return bits;
}

Status addRule(int ruleset, std::uint64_t handled, const LandlockFd& file) {
  struct stat st {};
  if (::fstat(file.fd, &st) != 0) return sysError(errno, "stat");
  landlock_path_beneath_attr rule{};
  rule.parent_fd = file.fd;
  rule.allowed_access = bitsOf(file.access) & handled;
  if (!S_ISDIR(st.st_mode)) rule.allowed_access &= kOnFiles;
  if (rule.allowed_access == 0) return {};
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
    return sysError(errno, "landlock_add_rule");
  return {};
}

}  // namespace

int landlockAbi() {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

Result<UniqueFd> makeRuleset(int abi, const std::vector<LandlockPath>& paths,
                             const std::vector<LandlockFd>& files) {
  if (abi <= 0) return sysError(EOPNOTSUPP, "landlock");
  RulesetAttributes attributes;
  attributes.files = handledBy(abi);
  if (abi >= 6) attributes.scoped = kScopeAbstractSocket | kScopeSignal;
  const std::size_t size = abi >= 6 ? sizeof attributes : sizeof attributes.files;
  UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!ruleset) return sysError(errno, "landlock_create_ruleset");
  for (const LandlockPath& path : paths) {
    ORRERY_TRY_ASSIGN(const UniqueFd fd, openFile(path.path, O_PATH));
    if (Status s = addRule(ruleset.get(), attributes.files, LandlockFd{fd.get(), path.access}); !s)
      return wrap(std::move(s).error(), "'{}'", path.path);
  }
  for (const LandlockFd& file : files) ORRERY_TRY(addRule(ruleset.get(), attributes.files, file));
  return ruleset;
}

}  // namespace orrery
