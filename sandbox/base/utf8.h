// Is a text UTF-8? Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace orrery {

// Where the first byte is that belongs to no UTF-8 character (RFC 3629: no surrogates, nothing
// overlong or above U+10FFFF); nothing if all do.
std::optional<std::size_t> firstInvalidUtf8(std::string_view text);

}  // namespace orrery
