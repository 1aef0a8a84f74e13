// The journal, a placement and a process mark: files of ours that a crash may have torn.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/engine/file_journal.h"
#include "runtime/engine/incarnation.h"
#include "runtime/engine/placement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parseJournal(text);
  (void)parsePlacement(text);
  (void)parseMark(text);
  return 0;
}
