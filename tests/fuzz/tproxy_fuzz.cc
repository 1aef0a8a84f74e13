// tproxy's configuration, and what the supervisor says on its control descriptor.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/tproxy/config.h"
#include "runtime/tproxy/control.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery::tproxy;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parseCommand(text);
  if (const auto config = parseConfig(text))
    if (!parseConfig(toJson(*config))) std::abort();
  return 0;
}
