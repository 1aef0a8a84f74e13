#include "sandbox/base/utf8.h"

namespace orrery {

std::optional<std::size_t> firstInvalidUtf8(std::string_view text) {
  const auto at = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  for (std::size_t i = 0; i < text.size();) {
    const unsigned lead = at(i);
    const std::size_t size = lead < 0x80                    ? 1
                             : lead >= 0xc2 && lead <= 0xdf ? 2
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
    if (size == 0) return i;
    for (std::size_t k = 1; k < size; ++k)
      if ((at(i + k) & 0xc0) != 0x80) return i;
    const unsigned next = at(i + 1);
    const bool overlong = (lead == 0xe0 && next < 0xa0) || (lead == 0xf0 && next < 0x90);
    const bool beyond = (lead == 0xed && next > 0x9f) || (lead == 0xf4 && next > 0x8f);
    if (overlong || beyond) return i;
    i += size;
  }
  return std::nullopt;
}

}  // namespace orrery
