#include "runtime/console/progress.h"

#include <algorithm>

#include "runtime/control/events.h"

namespace orrery {
namespace {

constexpr unsigned kBarCells = 24;
// More would scroll, and lines that have scrolled away cannot be redrawn.
constexpr std::size_t kMaxBars = 10;

std::string cut(std::string text, unsigned width) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) == 0x80) continue;
    if (columns++ == width) return text.substr(0, i);
  }
  return text;
}

}  // namespace

std::string progressBar(const ProgressStep& step, unsigned width) {
  const unsigned percent = std::min(step.percent, 100u);
  const unsigned filled = percent * kBarCells / 100;
  std::string line =
      fmt::format("{:<16} [{}{}] {:>3}% {}", printable(step.router), std::string(filled, '#'),
                  std::string(kBarCells - filled, '-'), percent, printable(step.stage));
  if (!step.text.empty()) line += ": " + printable(step.text);
  return cut(std::move(line), width);
}

void ProgressView::report(const ProgressStep& step) {
  const ConsoleMode& mode = console_.mode();
  const auto known = std::ranges::find(routers_, step.router, &ProgressStep::router);
  if (known != routers_.end() && *known == step) return;
  if (known != routers_.end())
    *known = step;
  else
    routers_.push_back(step);
  if (mode.json) {
    console_.record(Json::object({{"schema", "orrery.progress/1"},
                                  {"router", step.router},
                                  {"stage", step.stage},
                                  {"percent", step.percent},
                                  {"text", step.text}}));
  } else if (mode.terminal) {
    redraw();
  } else {
    const std::string text = step.text.empty() ? "" : ": " + printable(step.text);
    console_.progress(fmt::format("{}: {} {}%{}\n", printable(step.router), printable(step.stage),
                                  step.percent, text));
  }
}

void ProgressView::redraw() {
  std::string out;
  if (drawn_ > 0) out += fmt::format("\x1b[{}A", drawn_);
  const std::size_t first = routers_.size() > kMaxBars ? routers_.size() - kMaxBars : 0;
  // One column is left free: a full line would wrap and spoil the count of lines.
  for (std::size_t i = first; i < routers_.size(); ++i)
    out += "\r\x1b[K" + progressBar(routers_[i], console_.mode().width - 1) + '\n';
  drawn_ = routers_.size() - first;
  console_.progress(out);
}

void ProgressView::finish() {
  if (drawn_ > 0) console_.progress(fmt::format("\x1b[{}A\x1b[J", drawn_));
  drawn_ = 0;
}

}  // namespace orrery
