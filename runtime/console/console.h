// Where a command's words go: data to standard output, the rest to standard error.
//
// --json: one JSON document for a command, one line each for streams, errors as {"error":…}.
// --quiet: data only. Colour only where the mode says so; main decides that, once.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "runtime/console/table.h"
#include "runtime/control/json.h"
#include "sandbox/base/result.h"

namespace orrery {

// Exit codes of routerctl. `exec` and `run` end with their child's code instead.
enum class ExitCode : int {
  ok = 0,
  failed = 1,
  usage = 2,
  invalid = 3,
  notPermitted = 4,
  notRunning = 5,
  leak = 6,
};

// An error and the exit code that it stands for.
struct Failure {
  int code = 1;
  Error error;
  Json details;  // with --json: the "details" of the error, e.g. diagnostics
  // EPERM and EACCES are "not permitted", ESRCH (no such router or service) is "not running", all
  // else "failed".
  Failure(Error e);  // NOLINT: implicit, so that ORRERY_TRY works in commands
  Failure(ExitCode c, Error e) : code(static_cast<int>(c)), error(std::move(e)) {}
};
// What a command returns: its exit code.
using CommandResult = tl::expected<int, Failure>;

tl::unexpected<Failure> failure(ExitCode code, std::string message);

struct ConsoleMode {
  bool json = false;
  bool quiet = false;
  bool colour = false;    // of standard output
  bool terminal = false;  // standard error is one: progress may be redrawn in place
  unsigned width = 80;    // columns of that terminal
};

class Console {
 public:
  // The streams stay the caller's.
  Console(std::FILE* out, std::FILE* err, const ConsoleMode& mode)
      : out_(out), err_(err), mode_(mode) {}

  const ConsoleMode& mode() const { return mode_; }
  ConsoleMode& mode() { return mode_; }

  void print(std::string_view text);  // data, as it is
  void table(const Table& table);
  void document(const Json& json);       // the result of a command
  void record(const Json& json);         // one line of a stream, flushed
  void note(std::string_view text);      // "text\n" on standard error, unless quiet
  void progress(std::string_view text);  // as it is, on standard error, unless quiet
  void complain(std::string_view text);  // as it is, on standard error, also when quiet
  void fail(const Error& error, const Json& details = {});  // "routerctl: message", and `also`
  void flush();

 private:
  std::FILE* out_;
  std::FILE* err_;
  ConsoleMode mode_;
};

// {"error":{"message":…,"errno":…},"also":[…]}
Json toJson(const Error& error);

}  // namespace orrery
