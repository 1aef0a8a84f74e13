#include <gtest/gtest.h>

#include "runtime/shell/sections.h"

namespace orrery {
namespace {

TEST(LimitValue, UnitsForPeopleBytesForPrograms) {
  struct Case {
    LimitKind kind;
    const char* file;
    const char* text;
    Json json;
  };
  const std::vector<Case> cases = {
      {LimitKind::bytes, "67108864", "64 MiB", Json(67108864)},
      {LimitKind::bytes, "12902400", "12.3 MiB", Json(12902400)},
      {LimitKind::bytes, "0", "0 B", Json(0)},
      {LimitKind::bytes, "1023", "1023 B", Json(1023)},
      {LimitKind::bytes, "1024", "1 KiB", Json(1024)},
      {LimitKind::bytes, "1536", "1.5 KiB", Json(1536)},
      {LimitKind::bytes, "2199023255552", "2 TiB", Json(2199023255552)},
      {LimitKind::bytes, "4503599627370496", "4096 TiB", Json(4503599627370496)},
      {LimitKind::bytes, "9223372036854771712", "unlimited", Json()},  // v1
      {LimitKind::bytes, "max", "unlimited", Json()},                  // v2
      {LimitKind::count, "64", "64", Json(64)},
      {LimitKind::count, "max", "unlimited", Json()},
      {LimitKind::text, "0-1", "0-1", Json("0-1")},
      {LimitKind::bytes, "", "", Json()},
      {LimitKind::count, "many", "", Json()},
  };
  for (const Case& c : cases) {
    const LimitValue value = limitValue(c.kind, c.file);
    EXPECT_EQ(value.text, c.text) << c.file;
    EXPECT_EQ(value.json, c.json) << c.file << ": " << value.json.dump();
  }
}

}  // namespace
}  // namespace orrery
