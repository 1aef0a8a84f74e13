#include "sandbox/namespaces/id_map.h"

namespace orrery {
namespace {

constexpr std::uint64_t kIdLimit = 0xffffffff;  // (uid_t)-1 is no id

Status check(const IdRange& range) {
  if (range.count == 0) return error("id range is empty");
  if (range.outside == 0) return error("id range from {} contains the host's root", range.outside);
  if (std::uint64_t{range.outside} + range.count > kIdLimit)
    return error("id range {}+{} goes beyond the highest id", range.outside, range.count);
  return {};
}

}  // namespace

Result<std::string> idMapText(const IdRange& range) {
  ORRERY_TRY(check(range));
  return fmt::format("0 {} {}\n", range.outside, range.count);
}

Result<std::uint32_t> outsideId(const IdRange& range, std::uint32_t inside) {
  ORRERY_TRY(check(range));
  if (inside >= range.count)
    return error("id {} is not in the range of {} mapped ids", inside, range.count);
  return range.outside + inside;
}

}  // namespace orrery
