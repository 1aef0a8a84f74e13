#include "runtime/console/table.h"

#include <gtest/gtest.h>

#include "runtime/console/progress.h"

namespace orrery {
namespace {

TEST(Table, ColumnsAlignAndLinesHaveNoTrailingBlanks) {
  Table table({"router", {"pid", Align::right}, "remark"});
  table.row({"network0.galaxy0", "7", "ok"}).row({"n.s", "12345", ""});
  EXPECT_EQ(table.render(false),
            "ROUTER              PID  REMARK\n"
            "network0.galaxy0      7  ok\n"
            "n.s               12345  -\n");
}

TEST(Table, ColourDoesNotCountAsWidth) {
  Table table({"a", "b"});
  table.row({Cell("x", Tone::good), "y"});
  EXPECT_EQ(table.render(true), "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[32mx\x1b[0m  y\n");
}

TEST(Table, WideAndForeignBytes) {
  Table table({"a", "b"});
  table.row({"grün", "x"}).row({"\x1b[2J", "y"});
  EXPECT_EQ(table.render(false), "A        B\ngrün     x\n\\x1b[2J  y\n");
}

TEST(Table, MissingCellsAreDashes) {
  Table table({"a", "b"});
  table.row({"x"});
  EXPECT_EQ(table.render(false), "A  B\nx  -\n");
}

TEST(ProgressBar, FillsAndIsCutToTheWidth) {
  const ProgressStep step{"n.star0", "bootstrap", 50, "Loading relay descriptors"};
  EXPECT_EQ(
      progressBar(step, 200),
      "n.star0          [############------------]  50% bootstrap: Loading relay descriptors");
  EXPECT_EQ(displayWidth(progressBar(step, 40)), 40u);
  EXPECT_NE(progressBar({"r", "x", 250, ""}, 80).find("100%"), std::string::npos);
}

}  // namespace
}  // namespace orrery
