#include "runtime/routerctl/render.h"

namespace orrery {
namespace {

Json toJson(const RouterView& view, std::int64_t nowMs) {
  Json json =
      view.state
          ? toJson(*view.state)
          : Json::object(
                {{"schema", kStateSchema}, {"network", view.id.network}, {"router", view.id.name}});
  json.set("phase", phaseText(view)).set("running", view.running);
  if (view.running && view.state) json.set("uptimeMs", nowMs - view.state->started.monotonicMs);
  if (!view.problem.empty()) json.set("problem", view.problem);
  return json;
}

std::string kindOf(const RouterView& view) {
  return view.state ? toString(view.state->kind) : "";
}

// What stands in the way, or how the traffic leaves.
std::string remarkOf(const RouterView& view) {
  if (!view.state) return view.problem;
  const RouterState& state = *view.state;
  if (view.running && state.phase == RouterPhase::starting && state.progress)
    return fmt::format("{}% {}", state.progress->percent, state.progress->text);
  if (view.running && state.phase != RouterPhase::ready && !state.reason.empty())
    return state.reason;
  if (state.egress.endpoint)
    return fmt::format("{}:{}", toString(state.egress.endpoint->address),
                       state.egress.endpoint->port);
  return state.egress.exitHint;
}

std::string uptimeOf(const RouterView& view, std::int64_t nowMs) {
  if (!view.running || !view.state) return "";
  return durationText(nowMs - view.state->started.monotonicMs);
}

void printPair(Console& console, std::string_view name, std::string_view value) {
  if (!value.empty()) console.print(fmt::format("{:<12}{}\n", name, printable(value)));
}

void printEgress(Console& console, const EgressStatus& egress) {
  printPair(console, "egress", egress.type);
  if (egress.tunnelAddress) printPair(console, "address", toString(*egress.tunnelAddress));
  if (egress.endpoint)
    printPair(console, "server",
              fmt::format("{}:{}/{}", toString(egress.endpoint->address), egress.endpoint->port,
                          egress.endpoint->tcp ? "tcp" : "udp"));
  std::string servers;
  for (const Ipv4 server : egress.dns) servers += (servers.empty() ? "" : " ") + toString(server);
  printPair(console, "dns", servers);
  printPair(console, "exit", egress.exitHint);
}

void printLadder(Console& console, const RouterState& state) {
  if (state.ladder.empty()) return;
  Table table({"check", "state", "detail"});
  for (const Rung& rung : state.ladder) {
    const Tone tone = rung.state == RungState::ok       ? Tone::good
                      : rung.state == RungState::failed ? Tone::bad
                                                        : Tone::dim;
    table.row({rung.rung, Cell(toString(rung.state), tone), rung.detail});
  }
  console.print("\n");
  console.table(table);
}

void printWarnings(Console& console, const RouterState& state) {
  for (const std::string& warning : state.warnings)
    console.print(paint("warning: " + printable(warning) + "\n", Tone::warning,
                        console.mode().colour));
}

void printServices(Console& console, const RouterState& state) {
  if (state.services.empty()) return;
  Table table({"service", "state", {"pid", Align::right}, {"restarts", Align::right}, "last exit"});
  for (const ServiceState& service : state.services)
    table.row({service.name, Cell(toString(service.phase), toneOf(toString(service.phase))),
               service.pid > 0 ? fmt::format("{}", service.pid) : "",
               fmt::format("{}", service.restarts), service.lastExit});
  console.print("\n");
  console.table(table);
}

}  // namespace

void EngineProgress::report(const Progress& progress) {
  view_.report(
      ProgressStep{progress.router.text(), progress.stage, progress.percent, progress.text});
}

CommandResult printPlans(Console& console, const std::vector<PlanText>& plans) {
  if (console.mode().json) {
    Json routers = Json::array();
    for (const PlanText& plan : plans) {
      Json steps = Json::array();
      for (const std::string& step : plan.steps) steps.push(step);
      routers.push(Json::object({{"network", plan.router.network},
                                 {"router", plan.router.name},
                                 {"steps", std::move(steps)}}));
    }
    console.document(Json::object({{"schema", "orrery.plan/1"}, {"routers", std::move(routers)}}));
    return 0;
  }
  for (const PlanText& plan : plans) {
    console.print(plan.router.text() + (plan.steps.empty() ? ": nothing to do\n" : ":\n"));
    for (const std::string& step : plan.steps) console.print("  " + step + "\n");
  }
  return 0;
}

CommandResult printSpawned(Console& console, const SpawnReport& report, bool waited) {
  bool allReady = true;
  Json routers = Json::array();
  Table table({"router", "kind", "state", {"ready in", Align::right}, "egress", "remark"});
  for (const SpawnedRouter& router : report.routers) {
    const RouterView view{router.id, true, router.state, ""};
    const std::string phase = phaseText(view);
    allReady = allReady && router.state.phase == RouterPhase::ready;
    table.row({router.id.text(), kindOf(view), Cell(phase, toneOf(phase)),
               router.readyMs > 0 ? fmt::format("{} ms", router.readyMs) : "",
               router.state.egress.type, remarkOf(view)});
    routers.push(Json::object({{"network", router.id.network},
                               {"router", router.id.name},
                               {"phase", phase},
                               {"changed", router.changed},
                               {"readyMs", router.readyMs}}));
  }
  const bool ok = allReady || !waited;
  if (console.mode().json)
    // One line, as the progress before it: the last object of the stream.
    console.record(Json::object({{"schema", "orrery.spawn/1"}, {"routers", std::move(routers)}}));
  else if (console.mode().quiet)
    for (const SpawnedRouter& router : report.routers) console.print(router.id.text() + "\n");
  else
    console.table(table);
  return static_cast<int>(ok ? ExitCode::ok : ExitCode::failed);
}

CommandResult printDestroyed(Console& console, const DestroyReport& report) {
  if (console.mode().json) {
    Json routers = Json::array();
    for (const RouterId& id : report.destroyed)
      routers.push(Json::object({{"network", id.network}, {"router", id.name}}));
    console.record(
        Json::object({{"schema", "orrery.destroy/1"}, {"destroyed", std::move(routers)}}));
    return 0;
  }
  for (const RouterId& id : report.destroyed) console.print(id.text() + "\n");
  return 0;
}

void printList(Console& console, const std::vector<RouterView>& views, std::int64_t nowMs) {
  if (console.mode().json) {
    Json routers = Json::array();
    for (const RouterView& view : views) routers.push(toJson(view, nowMs));
    console.document(Json::object({{"schema", "orrery.list/1"}, {"routers", std::move(routers)}}));
    return;
  }
  Table table({"router", "kind", "state", {"up", Align::right}, "egress", "remark"});
  for (const RouterView& view : views) {
    const std::string phase = phaseText(view);
    table.row({view.id.text(), kindOf(view), Cell(phase, toneOf(phase)), uptimeOf(view, nowMs),
               view.state ? view.state->egress.type : "", remarkOf(view)});
  }
  if (table.empty())
    console.note("no routers");
  else
    console.table(table);
}

void printStatus(Console& console, const RouterView& view, std::int64_t nowMs) {
  if (console.mode().json) {
    console.document(toJson(view, nowMs));
    return;
  }
  const std::string phase = phaseText(view);
  console.print(fmt::format("{:<12}{}\n", "router", view.id.text()));
  console.print(
      fmt::format("{:<12}{}\n", "state", paint(phase, toneOf(phase), console.mode().colour)));
  printPair(console, "problem", view.problem);
  if (!view.state) return;
  const RouterState& state = *view.state;
  printPair(console, "kind", toString(state.kind));
  printPair(console, "reason", state.reason);
  printWarnings(console, state);
  printPair(console, "up", uptimeOf(view, nowMs));
  if (state.progress && state.phase == RouterPhase::starting)
    printPair(console, "progress",
              fmt::format("{}% {}", state.progress->percent, state.progress->text));
  printEgress(console, state.egress);
  printLadder(console, state);
  printServices(console, state);
}

std::string durationText(std::int64_t milliseconds) {
  const std::int64_t seconds = milliseconds < 0 ? 0 : milliseconds / 1000;
  const std::int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  if (days > 0) return fmt::format("{}d {}h", days, hours % 24);
  if (hours > 0) return fmt::format("{}h {}m", hours, minutes % 60);
  if (minutes > 0) return fmt::format("{}m {}s", minutes, seconds % 60);
  return fmt::format("{}s", seconds);
}

Tone toneOf(const std::string& phase) {
  if (phase == "ready" || phase == "running") return Tone::good;
  if (phase == "failed" || phase == "down") return Tone::bad;
  if (phase == "degraded" || phase == "waiting") return Tone::warning;
  return Tone::dim;
}

tl::unexpected<Failure> notRunning(const RouterId& id, Error why) {
  const bool absent = why.err == ENOENT || why.err == ECONNREFUSED;
  why.message = fmt::format("router '{}' {}: {}", id.text(),
                            absent ? "is not running" : "cannot be asked", why.message);
  if (absent) return tl::unexpected<Failure>(Failure(ExitCode::notRunning, std::move(why)));
  return tl::unexpected<Failure>(Failure(std::move(why)));
}

}  // namespace orrery
