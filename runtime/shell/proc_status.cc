#include "runtime/shell/proc_status.h"

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {

std::string ProcStatus::text(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (key == name) return value;
  return "";
}

std::string ProcStatus::seccompMode() const {
  const std::string mode = text("Seccomp");
  if (mode == "2") return "filter";
  return mode == "1" ? "strict" : "none";
}

ProcStatus parseProcStatus(std::string_view text) {
  ProcStatus status;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    status.fields.push_back(
        {std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1)))});
  }
  return status;
}

std::optional<ProcStatus> readProcStatus(std::int32_t pid) {
  if (pid <= 0) return std::nullopt;
  const auto text = readFile(fmt::format("/proc/{}/status", pid), 64u << 10);
  if (!text) return std::nullopt;
  return parseProcStatus(*text);
}

}  // namespace orrery
