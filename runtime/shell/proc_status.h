// /proc/PID/status as fields (proc_pid_status(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace orrery {

struct ProcStatus {
  std::vector<std::pair<std::string, std::string>> fields;
  std::string text(std::string_view name) const;  // "" if there is none
  std::string seccompMode() const;                // "none", "strict", "filter"
};
ProcStatus parseProcStatus(std::string_view text);
std::optional<ProcStatus> readProcStatus(std::int32_t pid);  // none if there is no such process

}  // namespace orrery
