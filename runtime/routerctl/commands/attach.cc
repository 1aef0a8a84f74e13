// attach NAME --netns N|--pid P|--tap T: gives a namespace of somebody else's an interface on a
// router's LAN, or makes a virtual machine's tap a port of it.
#include "netns/namespace/netns.h"
#include "routers/spec/values.h"
#include "runtime/routerctl/attachment.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

class AttachCommand final : public Command {
 public:
  std::string_view name() const override { return "attach"; }
  std::string_view summary() const override {
    return "Connect a namespace or a virtual machine to a LAN";
  }
  std::string_view details() const override {
    return "Examples:\n"
           "  routerctl attach galaxy0 --netns web\n"
           "  routerctl attach star0 --pid 4711 --name eth1 --dhcp\n"
           "  routerctl attach star0 --tap vm0 --mac 52:54:00:12:34:56\n"
           "A tap leaves the host for the router's namespace while the machine has it open "
           "(qemu's\n"
           "script= is the moment); the machine asks by DHCP, or is configured with the address.";
  }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
    line.option("--netns", netns_, "NAME", "The client: a namespace of /run/netns");
    line.number("--pid", pid_, "PID", "The client: the namespace of a process");
    line.option("--tap", tap_, "IF", "The client: a virtual machine that has this tap open");
    line.option("--mac", mac_, "MAC", "With --tap: of the machine's NIC; else that of its address");
    line.option("--name", interface_, "IF", "Name of the interface in the client (eth0)");
    line.option("--address", address_, "ADDRESS", "The client's address; else a free one");
    line.flag("--dhcp", dhcp_, "Leave the interface as it is: the client asks by DHCP");
  }

  CommandResult run(CommandContext& context) override {
    if (int{netns_.has_value()} + int{pid_.has_value()} + int{tap_.has_value()} != 1)
      return failure(ExitCode::usage, "one of --netns, --pid and --tap is expected");
    if (tap_ && (interface_ || dhcp_))
      return failure(ExitCode::usage, "--name and --dhcp are for namespaces, not for --tap");
    if (mac_ && !tap_) return failure(ExitCode::usage, "--mac is for --tap");
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    ORRERY_TRY_ASSIGN(const RouterSpec spec, spawnedSpec(context.root, id));
    if (tap_) return runTap(context, spec);
    if (dhcp_ && !spec.lan.dhcp)
      return failure(ExitCode::usage,
                     fmt::format("router '{}' serves no DHCP: leave --dhcp out", id.text()));
    AttachOptions options;
    options.root = context.root;
    options.configure = !dhcp_;
    ORRERY_TRY_ASSIGN(options.interface, IfName::parse(interface_.value_or("eth0")));
    if (address_) {
      ORRERY_TRY_ASSIGN(options.address, parseIpv4(*address_));
    }
    auto client = netns_ ? openNetns(*netns_) : openNetnsOfPid(static_cast<pid_t>(*pid_));
    if (!client) return tl::unexpected<Failure>(std::move(client).error());
    ORRERY_TRY(refuseOwn(*client));
    ORRERY_TRY_ASSIGN(const Attachment attachment, attachClient(spec, *client, options));
    print(context.console, id, attachment);
    return 0;
  }

 private:
  CommandResult runTap(CommandContext& context, const RouterSpec& spec) {
    TapOptions options;
    options.root = context.root;
    ORRERY_TRY_ASSIGN(options.tap, IfName::parse(*tap_));
    if (mac_) {
      ORRERY_TRY_ASSIGN(options.mac, parseUnicastMac(*mac_));
    }
    if (address_) {
      ORRERY_TRY_ASSIGN(options.address, parseIpv4(*address_));
    }
    ORRERY_TRY_ASSIGN(const Attachment attachment, attachTap(spec, options));
    print(context.console, spec.id, attachment);
    return 0;
  }

  // The host's own namespace gets no address of ours, ever.
  static Status refuseOwn(const NetnsFd& client) {
    ORRERY_TRY_ASSIGN(const NetnsFd own, openNetns(""));
    ORRERY_TRY_ASSIGN(const auto a, netnsInode(client));
    ORRERY_TRY_ASSIGN(const auto b, netnsInode(own));
    if (a == b) return error("that is the host's own namespace, which is never connected");
    return {};
  }

  static void print(Console& console, const RouterId& id, const Attachment& a) {
    if (console.mode().json)
      console.document(Json::object({{"schema", "orrery.attach/1"},
                                     {"network", id.network},
                                     {"router", id.name},
                                     {"port", a.port.str()},
                                     {"interface", a.interface.str()},
                                     {"mac", toString(a.mac)},
                                     {"address", toString(a.address)}}));
    else if (console.mode().quiet)
      console.print(a.port.str() + "\n");
    else
      console.print(fmt::format("{} on {}: {} {} ({})\n", a.port.str(), id.text(),
                                a.interface.str(), toString(a.address), toString(a.mac)));
  }

  std::string name_;
  std::optional<std::string> netns_;
  std::optional<unsigned> pid_;
  std::optional<std::string> tap_;
  std::optional<std::string> mac_;
  std::optional<std::string> interface_;
  std::optional<std::string> address_;
  bool dhcp_ = false;
};

}  // namespace

std::unique_ptr<Command> makeAttachCommand() {
  return std::make_unique<AttachCommand>();
}

}  // namespace orrery
