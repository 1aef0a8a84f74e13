// exec NAME[.egress] -- CMD: a program in a router's own namespace, as the user that we are.
#include "netns/namespace/netns.h"
#include "runtime/control/paths.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/program.h"
#include "runtime/routerctl/registry.h"

namespace orrery {
namespace {

class ExecCommand final : public Command {
 public:
  std::string_view name() const override { return "exec"; }
  std::string_view summary() const override { return "Run a program in a router's own namespace"; }
  std::string_view details() const override {
    return "Examples:\n"
           "  routerctl exec galaxy0 -- ss -tulpn\n"
           "  routerctl exec star0.egress -- tcpdump -ni uplink\n"
           "The exit code is the program's; 127 if it was not found, 126 if it cannot be run.";
  }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers,
              "Router for its LAN namespace, ROUTER.egress for the one with the uplink");
    line.program(argv_);
  }
  CommandResult run(CommandContext& context) override {
    if (argv_.empty()) return failure(ExitCode::usage, "a program is expected: exec NAME -- CMD");
    ORRERY_TRY_ASSIGN(const NamespaceName where, findNamespace(context.root, name_));
    const RouterPaths paths(where.router, context.root);
    auto netns = openNetns(where.egress ? paths.egressNetns : paths.lanNetns);
    if (!netns && netns.error().err == ENOENT)
      return failure(ExitCode::notRunning,
                     fmt::format("router '{}' has no {} namespace", where.router.text(),
                                 where.egress ? "egress" : "LAN"));
    if (!netns) return tl::unexpected<Failure>(std::move(netns).error());
    ProgramSpec program;
    program.argv = argv_;
    program.environment = context.environment;
    if (const auto spec = spawnedSpec(context.root, where.router); spec && !where.egress)
      program.nameserver = spec->lan.address.address;
    context.console.flush();
    Error e = becomeProgram(*netns, program);
    const int code = exitCodeOf(e);
    Failure failed(std::move(e));
    failed.code = code;
    return tl::unexpected<Failure>(std::move(failed));
  }

 private:
  std::string name_;
  std::vector<std::string> argv_;
};

}  // namespace

std::unique_ptr<Command> makeExecCommand() {
  return std::make_unique<ExecCommand>();
}

}  // namespace orrery
