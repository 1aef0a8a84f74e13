// events [NAME…] [-f]: what happened to routers, and what happens.
#include <poll.h>

#include <algorithm>

#include "runtime/control/client.h"
#include "runtime/control/paths.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"
#include "runtime/routerctl/render.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::chrono::seconds kPatience{5};
constexpr std::size_t kMaxStored = 16u << 20;  // bytes; the supervisor keeps far less

class EventsCommand final : public Command {
 public:
  std::string_view name() const override { return "events"; }
  std::string_view summary() const override { return "Show what happened to routers"; }
  void declare(CommandLine& line) override {
    line.words("NAME", names_, Completes::routers, "Routers; none: all", false);
    line.flag("-f,--follow", follow_, "Show what happens from now on, until interrupted");
  }

  CommandResult run(CommandContext& context) override {
    std::vector<RouterId> routers;
    if (names_.empty()) {
      ORRERY_TRY_ASSIGN(routers, knownRouters(context.root));
    }
    for (const std::string& name : names_) {
      ORRERY_TRY_ASSIGN(RouterId id, findRouter(context.root, name));
      routers.push_back(std::move(id));
    }
    return follow_ ? follow(context, routers) : stored(context, routers);
  }

 private:
  static void print(Console& console, const Event& event) {
    if (console.mode().json)
      console.record(toJson(event));
    else
      console.print(toHumanLine(event, console.mode().colour) + "\n");
  }

  static CommandResult stored(CommandContext& context, const std::vector<RouterId>& routers) {
    std::vector<Event> events;
    for (const RouterId& id : routers) {
      const auto text = readFile(RouterPaths(id, context.root).events, kMaxStored);
      if (!text && text.error().err == ENOENT) continue;
      if (!text) return tl::unexpected<Failure>(text.error());
      for (const std::string_view line : split(*text, '\n'))
        if (auto event = parseEvent(line)) events.push_back(std::move(event).value());
    }
    // RFC 3339 in UTC with a fixed number of digits sorts as text.
    std::ranges::stable_sort(events, {}, [](const Event& e) { return e.time.wall; });
    for (const Event& event : events) print(context.console, event);
    return 0;
  }

  // Ends when the last supervisor has gone.
  static CommandResult follow(CommandContext& context, const std::vector<RouterId>& routers) {
    std::vector<ControlClient> clients;
    for (const RouterId& id : routers) {
      auto client = ControlClient::connect(RouterPaths(id, context.root).control);
      if (!client && routers.size() > 1) {
        context.console.note(fmt::format("{}: not running", id.text()));
        continue;
      }
      if (!client) return notRunning(id, std::move(client).error());
      ORRERY_TRY(client->subscribe(after(kPatience)));
      clients.push_back(std::move(client).value());
    }
    if (clients.empty()) return failure(ExitCode::notRunning, "no router is running");
    while (!clients.empty()) ORRERY_TRY(takeEvents(context.console, clients));
    return failure(ExitCode::notRunning, "the supervisors have ended");
  }

  static Status takeEvents(Console& console, std::vector<ControlClient>& clients) {
    std::vector<pollfd> waiting;
    for (const ControlClient& client : clients) waiting.push_back({client.fd(), POLLIN, 0});
    console.flush();
    if (::poll(waiting.data(), waiting.size(), -1) < 0) return sysError(errno, "wait for events");
    for (std::size_t i = clients.size(); i-- > 0;) {
      if (waiting[i].revents == 0) continue;
      do {
        const auto event = clients[i].nextEvent(after(kPatience));
        if (!event) {
          clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i));
          break;
        }
        print(console, *event);
      } while (clients[i].hasEvent());
    }
    return {};
  }

  std::vector<std::string> names_;
  bool follow_ = false;
};

}  // namespace

std::unique_ptr<Command> makeEventsCommand() {
  return std::make_unique<EventsCommand>();
}

}  // namespace orrery
