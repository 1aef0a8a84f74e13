#include "runtime/control/json.h"

#include <gtest/gtest.h>

#include <limits>

namespace orrery {
namespace {

TEST(JsonText, RoundTripKeepsOrderAndTypes) {
  const char* const text = R"({"b":1,"a":[true,null,"x\"y",-7,18446744073709551615],"c":{}})";
  const auto json = parseJson(text);
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->dump(), text);
}

TEST(JsonText, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  EXPECT_EQ(Json(std::string("a\xff\xc0\xaf")).dump(), "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(Json(std::string("\xed\xa0\x80")).dump(),  // a surrogate
            "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_EQ(Json("grün ✓").dump(), "\"grün ✓\"");
}

TEST(JsonText, ControlBytesAreEscaped) {
  EXPECT_EQ(Json(std::string("\x1b[2J\n\x7f")).dump(), R"("\u001b[2J\n\u007f")");
}

TEST(JsonLimits, MalformedTextsAreRefusedWithAReason) {
  struct Case {
    std::string text;
    const char* reason;
  };
  std::string deep(40, '[');
  const std::vector<Case> cases = {
      {"", "syntax error"},
      {"{", "syntax error"},
      {"{} x", "syntax error"},
      {"{'a':1}", "syntax error"},
      {"[1,]", "syntax error"},
      {"\"\xff\"", "syntax error"},
      {R"({"a":1,"a":2})", "key 'a' twice"},
      {deep, "nested deeper than 16"},
      {"nul", "syntax error"},
  };
  for (const Case& c : cases) {
    const auto json = parseJson(c.text);
    ASSERT_FALSE(json) << c.text;
    EXPECT_NE(json.error().message.find(c.reason), std::string::npos)
        << c.text << " -> " << json.error().message;
  }
}

TEST(JsonLimits, SixteenLevelsAreFineAndSizeIsChecked) {
  EXPECT_TRUE(parseJson(std::string(16, '[') + std::string(16, ']')));
  EXPECT_FALSE(parseJson("[1,2,3]", 6));
  EXPECT_TRUE(parseJson("[1,2,3]", 7));
}

TEST(JsonValue, NumbersHaveOneForm) {
  EXPECT_EQ(Json(7u), Json(7));
  EXPECT_EQ(Json(std::numeric_limits<std::uint64_t>::max()).asInteger(), std::nullopt);
  EXPECT_EQ(parseJson("1.5")->asInteger(), std::nullopt);
}

TEST(JsonValue, MissingMembersAreNull) {
  const Json json = Json::object({{"a", 1}});
  EXPECT_TRUE(json["b"].isNull());
  EXPECT_TRUE(Json(5)["b"].isNull());
  EXPECT_EQ(json.text("a", "no text"), "no text");
}

}  // namespace
}  // namespace orrery
