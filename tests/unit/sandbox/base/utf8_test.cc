#include "sandbox/base/utf8.h"

#include <gtest/gtest.h>

namespace orrery {
namespace {

TEST(Utf8, FindsTheFirstByteThatIsNone) {
  struct Case {
    std::string_view text;
    std::optional<std::size_t> at;
  };
  using namespace std::string_view_literals;
  constexpr std::nullopt_t kFine = std::nullopt;
  for (const Case& c : {
           Case{"", kFine}, Case{"plain\0text"sv, kFine}, Case{"\xc2\x80\xdf\xbf", kFine},
           Case{"\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", kFine},
           Case{"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", kFine},
           Case{"a\x80", 1},             // a continuation without a beginning
           Case{"ab\xc3", 2},            // cut
           Case{"\xe2\x82", 0},          // cut
           Case{"\xc3(", 0},             // no continuation
           Case{"\xc0\xaf", 0},          // overlong
           Case{"\xe0\x9f\xbf", 0},      // overlong
           Case{"\xf0\x8f\xbf\xbf", 0},  // overlong
           Case{"x\xed\xa0\x80", 1},     // a surrogate
           Case{"\xf4\x90\x80\x80", 0},  // above U+10FFFF
           Case{"\xf5\x80\x80\x80", 0},  // never
           Case{"\xff", 0},              // never
       })
    EXPECT_EQ(firstInvalidUtf8(c.text), c.at) << c.text;
}

}  // namespace
}  // namespace orrery
