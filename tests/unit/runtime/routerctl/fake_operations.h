// A command line with a fake engine and streams that can be read.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/routerctl/cli.h"
#include "runtime/routerctl/commands.h"

namespace orrery {

class FakeOperations final : public Operations {
 public:
  Result<SpawnReport> spawn(const std::vector<RouterSpec>&, const SpawnOptions&,
                            ProgressSink&) override {
    return error("not here");
  }
  Result<SpawnReport> restart(const std::vector<RouterSpec>&, const SpawnOptions&,
                              ProgressSink&) override {
    return error("not here");
  }
  Result<DestroyReport> destroy(const std::vector<RouterId>& routers, const DestroyOptions&,
                                ProgressSink&) override {
    DestroyReport report;
    report.destroyed = routers;
    return report;
  }
  Result<std::vector<PlanText>> plan(const std::vector<RouterSpec>&) override {
    return std::vector<PlanText>{};
  }
  Result<GcReport> gc() override { return gcResult; }
  Result<GcReport> gcResult = GcReport{};
};

class MemoryStream {
 public:
  MemoryStream() : stream_(::open_memstream(&text_, &size_)) {}
  ~MemoryStream() {
    (void)std::fclose(stream_);
    std::free(text_);
  }
  MemoryStream(const MemoryStream&) = delete;
  MemoryStream& operator=(const MemoryStream&) = delete;
  std::FILE* get() { return stream_; }
  std::string text() {
    (void)std::fflush(stream_);
    return std::string(text_, size_);
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* stream_;
};

struct CliRun {
  int code = 0;
  std::string out;
  std::string err;
};

enum class Privilege { none, root };

inline CliRun runFake(const std::vector<std::string>& arguments, FakeOperations operations = {},
                      Privilege privilege = Privilege::root) {
  MemoryStream out, err;
  Console console(out.get(), err.get(), ConsoleMode{});
  CommandContext context{.console = console,
                         .operations = operations,
                         .privileged = privilege == Privilege::root,
                         .root = "/nonexistent"};
  CliRun run;
  run.code = runCli(allCommands(), arguments, context);
  run.out = out.text();
  run.err = err.text();
  return run;
}

}  // namespace orrery
