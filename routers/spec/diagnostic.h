// One complaint about a text that a person wrote: where, what, and what to do about it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace orrery {

struct Diagnostic {
  std::string file;
  std::size_t line = 0;    // from 1; 0: the file as a whole
  std::size_t column = 0;  // in bytes, from 1; 0: the whole line
  std::size_t length = 1;  // bytes to underline
  std::string message;
  std::string sourceLine;  // without its line end; empty where it would show a secret
  std::string expected;    // empty: not shown
  std::string got;         // empty: not shown
  std::string hint;        // the remedy: "did you mean 'x'?"; empty: not shown
  bool warning = false;
  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};
using Diagnostics = std::vector<Diagnostic>;

// "file:line:column: error: message", the source line, a caret line, then "expected:", "got:" and
// the hint, each on a line of its own, all ended by '\n'. Control bytes are replaced, so that a
// hostile file cannot drive the reader's terminal.
std::string toText(const Diagnostic& diagnostic);
std::string toText(const Diagnostics& diagnostics);

}  // namespace orrery
