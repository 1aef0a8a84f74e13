#include "routers/spec/diagnostic.h"

#include <gtest/gtest.h>

#include <string>

namespace orrery {
namespace {

Diagnostic sample() {
  Diagnostic d;
  d.file = "a.toml";
  d.line = 3;
  d.column = 7;
  d.length = 4;
  d.message = "wrong";
  d.sourceLine = "kind = 1234 # x";
  return d;
}

TEST(Diagnostic, ShowsPlaceLineAndCaret) {
  Diagnostic d = sample();
  d.column = 8;
  d.expected = "a name";
  d.got = "the number 1234";
  d.hint = "did you mean 'x'?";
  EXPECT_EQ(toText(d),
            "a.toml:3:8: error: wrong\n"
            "    kind = 1234 # x\n"
            "           ^~~~\n"
            "  expected: a name\n"
            "  got: the number 1234\n"
            "  did you mean 'x'?\n");
}

TEST(Diagnostic, WithoutALineNamesTheFile) {
  Diagnostic d;
  d.file = "a.toml";
  d.message = "too large";
  d.warning = true;
  EXPECT_EQ(toText(d), "a.toml: warning: too large\n");
}

TEST(Diagnostic, CaretCountsCharactersNotBytes) {
  Diagnostic d = sample();
  d.sourceLine = "x = \"ä\", 12";
  d.column = 11;  // of the 1, in bytes
  d.length = 2;
  EXPECT_EQ(toText(d), "a.toml:3:11: error: wrong\n    x = \"ä\", 12\n             ^~\n");
}

TEST(Diagnostic, LetsNoControlByteThrough) {
  Diagnostic d = sample();
  d.message = "a\x1b[31m";
  d.sourceLine = "\tb\x1b]0;x\x07";
  d.file = "f\n.toml";
  d.got = d.hint = d.expected = "\x7f\r";
  const std::string text = toText(d);
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c != 0x7f)) << int{c};
}

TEST(Diagnostic, ShowsThePartOfALongLineThatMatters) {
  Diagnostic d = sample();
  d.sourceLine = std::string(1000, 'x') + "HERE" + std::string(1000, 'y');
  d.column = 1001;
  const std::string text = toText(d);
  EXPECT_LT(text.size(), 400u);
  EXPECT_NE(text.find("HERE"), std::string::npos);
  d.column = 5000;  // beyond the end
  EXPECT_LT(toText(d).size(), 400u);
}

}  // namespace
}  // namespace orrery
