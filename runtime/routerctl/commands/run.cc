// run NAME -- CMD: a program whose whole network is that router's LAN, as the calling user.
//
// The program gets a network namespace of its own with one interface, so it is a client like any
// other: isolated from the router's other clients, and without a path besides the router. The
// namespace has no name; it ends with the last process in it. The port goes when we end, or, should
// we be killed, with the namespace: the program is killed with us.
#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "runtime/routerctl/attachment.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/program.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

// Before any link exists. A kernel without IPv6 has no such keys.
Status closeIpv6(const NetnsFd& netns) {
  for (const char* which : {"all", "default"}) {
    Status s = setSysctls(netns, {{fmt::format("ipv6/conf/{}/disable_ipv6", which), "1"}});
    if (!s && s.error().err != ENOENT) return s;
  }
  return {};
}

Result<NetnsFd> makeClientNetns() {
  ORRERY_TRY_ASSIGN(NetnsFd netns, createNetns());
  ORRERY_TRY(closeIpv6(netns));
  // ping without a raw socket (icmp(7)): setuid and file capabilities do nothing for the program.
  ORRERY_TRY(setSysctls(netns, {{"ipv4/ping_group_range", "0 2147483647"}}));
  ORRERY_TRY_ASSIGN(Rtnl rtnl, Rtnl::open(netns));
  ORRERY_TRY_ASSIGN(const IfName loopback, IfName::parse("lo"));
  ORRERY_TRY(setLinkUp(rtnl, loopback));
  return netns;
}

// Environment of the program: without the address of the user's bus, whose services run outside.
std::vector<std::string> clientEnvironment(const std::vector<std::string>& ours) {
  std::vector<std::string> out;
  for (const std::string& entry : ours)
    if (!entry.starts_with("DBUS_SESSION_BUS_ADDRESS=")) out.push_back(entry);
  return out;
}

class RunCommand final : public Command {
 public:
  std::string_view name() const override { return "run"; }
  std::string_view summary() const override {
    return "Run a program whose whole network is a router's LAN, as the calling user";
  }
  std::string_view details() const override {
    return "Example:\n"
           "  sudo routerctl run star0 -- curl https://check.torproject.org/\n"
           "The exit code is the program's, 128 + N after signal N; 127 if it was not found.";
  }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
    line.option("--address", address_, "ADDRESS", "The program's address; else a free one");
    line.program(argv_);
  }

  CommandResult run(CommandContext& context) override {
    if (argv_.empty()) return failure(ExitCode::usage, "a program is expected: run NAME -- CMD");
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    ORRERY_TRY_ASSIGN(const RouterSpec spec, spawnedSpec(context.root, id));
    AttachOptions options;
    options.root = context.root;
    ORRERY_TRY_ASSIGN(options.interface, IfName::parse("eth0"));
    if (address_) {
      ORRERY_TRY_ASSIGN(options.address, parseIpv4(*address_));
    }
    ORRERY_TRY_ASSIGN(const NetnsFd netns, makeClientNetns());
    auto attached = attachClient(spec, netns, options);
    if (!attached && attached.error().err == ENOENT)
      return notRunning(id, std::move(attached).error());
    if (!attached) return tl::unexpected<Failure>(std::move(attached).error());
    const auto status = runProgram(netns, programFor(context, spec));
    const Status detached = detachClient(id, *attached, context.root);
    if (!detached) context.console.note("routerctl: ignoring: " + detached.error().message);
    if (!status) return tl::unexpected<Failure>(status.error());
    return exitCodeOf(*status);
  }

 private:
  ProgramSpec programFor(CommandContext& context, const RouterSpec& spec) const {
    context.console.flush();
    ProgramSpec program;
    program.argv = argv_;
    program.environment = clientEnvironment(context.environment);
    program.nameserver = spec.lan.address.address;
    program.user = context.caller;
    program.hideHostResolvers = true;
    return program;
  }

  std::string name_;
  std::optional<std::string> address_;
  std::vector<std::string> argv_;
};

}  // namespace

std::unique_ptr<Command> makeRunCommand() {
  return std::make_unique<RunCommand>();
}

}  // namespace orrery
