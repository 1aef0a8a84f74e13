// detach NAME [PORT]: takes clients off a router's LAN.
#include <algorithm>

#include "netns/namespace/netns.h"
#include "runtime/routerctl/attachment.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"

namespace orrery {
namespace {

class DetachCommand final : public Command {
 public:
  std::string_view name() const override { return "detach"; }
  std::string_view summary() const override { return "Take a client off a router's LAN"; }
  void declare(CommandLine& line) override {
    line.word("NAME", name_, Completes::routers, "Router");
    line.optionalWord("PORT", port_, Completes::nothing, "Port that attach printed, or address");
    line.option("--netns", netns_, "NAME", "Every port of this namespace");
    line.flag("--all", all_, "Every attached client");
  }

  CommandResult run(CommandContext& context) override {
    if (int{port_.has_value()} + int{netns_.has_value()} + int{all_} != 1)
      return failure(ExitCode::usage, "one of PORT, --netns and --all is expected");
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, name_));
    ORRERY_TRY_ASSIGN(auto attachments, listAttachments(id, context.root));
    std::uint64_t inode = 0;
    if (netns_) {
      ORRERY_TRY_ASSIGN(const NetnsFd client, openNetns(*netns_));
      ORRERY_TRY_ASSIGN(inode, netnsInode(client));
    }
    std::erase_if(attachments, [&](const Attachment& a) { return !meant(a, inode); });
    if (attachments.empty() && !all_)
      return failure(ExitCode::failed, fmt::format("router '{}' has no such client", id.text()));
    Json detached = Json::array();
    for (const Attachment& a : attachments) {
      ORRERY_TRY(detachClient(id, a, context.root));
      detached.push(a.port.str());
      if (!context.console.mode().json) context.console.print(a.port.str() + "\n");
    }
    if (context.console.mode().json)
      context.console.document(
          Json::object({{"schema", "orrery.detach/1"}, {"detached", std::move(detached)}}));
    return 0;
  }

 private:
  bool meant(const Attachment& a, std::uint64_t inode) const {
    if (all_) return true;
    if (netns_) return a.clientInode == inode;
    return port_ == a.port.str() || port_ == toString(a.address);
  }

  std::string name_;
  std::optional<std::string> port_;
  std::optional<std::string> netns_;
  bool all_ = false;
};

}  // namespace

std::unique_ptr<Command> makeDetachCommand() {
  return std::make_unique<DetachCommand>();
}

}  // namespace orrery
