// How a long command looks while it runs: a bar for each router redrawn in place on a terminal,
// plain lines when piped, nothing with --quiet, JSON lines on standard output with --json.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/console/console.h"

namespace orrery {

struct ProgressStep {
  std::string router;    // "network0.galaxy0"
  std::string stage;     // "link", "lease", "bootstrap", …
  unsigned percent = 0;  // 0 to 100
  std::string text;
  friend bool operator==(const ProgressStep&, const ProgressStep&) = default;
};

// "galaxy0  [########----------------]  33% bootstrap: Loading relay descriptors", cut to `width`
// columns. Pure.
std::string progressBar(const ProgressStep& step, unsigned width);

class ProgressView {
 public:
  explicit ProgressView(Console& console) : console_(console) {}
  ~ProgressView() { finish(); }
  ProgressView(const ProgressView&) = delete;
  ProgressView& operator=(const ProgressView&) = delete;

  void report(const ProgressStep& step);
  void finish();  // takes the bars away, before a result or an error is printed

 private:
  void redraw();

  Console& console_;
  std::vector<ProgressStep> routers_;  // the latest of each, oldest first
  std::size_t drawn_ = 0;              // lines on the screen
};

}  // namespace orrery
