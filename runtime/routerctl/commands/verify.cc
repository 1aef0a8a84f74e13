// verify NAME: is the router in the kernel what its plan says, and does nothing leave it that the
// leak contract does not allow?
//
// Two halves. Structure: its namespaces are read and held against the plan. Probes: a throw-away
// client on its LAN sends what a client could try, while the auditor watches every link that leads
// out. What is proven is what was sent and seen at that time; a frame that the kernel could not
// keep for the auditor makes the answer "cannot say".
#include <poll.h>

#include <algorithm>
#include <map>
#include <optional>
#include <thread>

#include "netns/link/link.h"
#include "netns/link/port_state.h"
#include "netns/namespace/netns.h"
#include "routers/contract/table.h"
#include "runtime/audit/live.h"
#include "runtime/control/paths.h"
#include "runtime/routerctl/attachment.h"
#include "runtime/routerctl/audit_follower.h"
#include "runtime/routerctl/commands.h"
#include "runtime/routerctl/registry.h"

namespace orrery {
namespace {

using namespace audit;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{5000};
constexpr int kMarkerRounds = 4;  // more than a packet has hops by veth on its way out
constexpr unsigned kMaxWatch = 3600;

Result<std::vector<PortOwner>> clientPorts(const RouterId& id, const std::string& root) {
  ORRERY_TRY_ASSIGN(const auto attachments, listAttachments(id, root));
  std::vector<PortOwner> owners;
  for (const Attachment& each : attachments) owners.push_back({each.port, each.mac, each.address});
  return owners;
}

// What were sent before that would get nowhere, and prove nothing.
Status awaitWire(const RouterId& id, const std::string& root, const NetnsFd& client,
                 const Attachment& attachment) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  ORRERY_TRY_ASSIGN(const NetnsFd netns, openNetns(RouterPaths(id, root).lanNetns));
  ORRERY_TRY_ASSIGN(Rtnl lan, Rtnl::open(netns));
  ORRERY_TRY_ASSIGN(Rtnl inside, Rtnl::open(client));
  ORRERY_TRY_ASSIGN(const IfName bridge, IfName::parse(id.name));
  Status passes = awaitForwarding(lan, attachment.port, deadline);
  // It may have had no port, and so no carrier, before this one.
  if (passes) passes = awaitRunning(lan, bridge, deadline);
  if (passes) passes = awaitRunning(inside, attachment.interface, deadline);
  if (passes) return {};
  return wrap(std::move(passes).error(), "cannot say: the throw-away client is not let in");
}

// The client that tries. Its namespace goes with the descriptor, its port before.
class ProbeClient {
 public:
  static Result<ProbeClient> attach(const RouterSpec& spec, const std::string& root) {
    ORRERY_TRY_ASSIGN(NetnsFd netns, createNetns());
    for (const char* which : {"all", "default"}) {  // it sends IPv6 by itself only when told to
      Status s = setSysctls(netns, {{fmt::format("ipv6/conf/{}/disable_ipv6", which), "1"}});
      if (!s && s.error().err != ENOENT) return tl::unexpected<Error>(std::move(s).error());
    }
    AttachOptions options;
    options.root = root;
    ORRERY_TRY_ASSIGN(options.interface, IfName::parse("eth0"));
    ORRERY_TRY_ASSIGN(Attachment attachment, attachClient(spec, netns, options));
    return ProbeClient(spec.id, root, std::move(netns), std::move(attachment));
  }
  ProbeClient(ProbeClient&& other) = default;
  ProbeClient& operator=(ProbeClient&&) = delete;
  ~ProbeClient() {
    if (netns_) (void)detachClient(id_, attachment_, root_);  // gc finds what is left
  }
  const NetnsFd& netns() const { return netns_; }
  const Attachment& attachment() const { return attachment_; }

 private:
  ProbeClient(RouterId id, std::string root, NetnsFd netns, Attachment attachment)
      : id_(std::move(id)),
        root_(std::move(root)),
        netns_(std::move(netns)),
        attachment_(std::move(attachment)) {}
  RouterId id_;
  std::string root_;
  NetnsFd netns_;
  Attachment attachment_;
};

bool isAsPlanned(const LiveRouter& router) {
  for (std::size_t i = 0; i < router.models.size(); ++i)
    if (!compare(router.models[i], router.seen[i]).empty()) return false;
  return true;
}

// The parts are read one after the other, so what changes meanwhile (a client that comes or goes)
// may look wrong. What is wrong is so the second time.
Result<LiveRouter> lookTwice(const LiveQuery& query) {
  ORRERY_TRY_ASSIGN(LiveRouter router, lookAt(query));
  if (isAsPlanned(router)) return router;
  return lookAt(query);
}

struct ProbeResult {
  std::vector<Probe> probes;
  std::vector<LinkReport> links;
};

// A marker from the router's own uplink arrives behind every frame that was on its way: each round
// lets what is queued go one hop further.
Status settle(AuditorProcess& auditor, const LiveRouter& router, const std::string& session) {
  if (!router.placement.uplink) return {};
  ORRERY_TRY_ASSIGN(const NetnsFd netns, openNetns(uplinkNetns(router.spec)));
  for (int round = 0; round < kMarkerRounds; ++round) {
    const auto number = static_cast<std::uint8_t>(round);
    ORRERY_TRY(sendMarker(netns, uplinkName(), session, number));
    ORRERY_TRY(auditor.awaitMarker(0, number, kPatience));
  }
  return {};
}

Result<ProbeResult> probe(const LiveRouter& router, const std::string& root,
                          std::chrono::seconds watch) {
  ORRERY_TRY_ASSIGN(const std::string session, newSession());
  ORRERY_TRY_ASSIGN(const auto planned, planWatches(router));
  ORRERY_TRY_ASSIGN(std::vector<Watch> watches, openWatches(planned));
  ORRERY_TRY_ASSIGN(AuditorProcess auditor,
                    AuditorProcess::start(std::move(watches), session, auditorHome(router)));
  ORRERY_TRY_ASSIGN(const ProbeClient client, ProbeClient::attach(router.spec, root));
  ORRERY_TRY(awaitWire(router.spec.id, root, client.netns(), client.attachment()));
  ProbeResult result;
  result.probes =
      probesFor(probeGround(router, client.attachment().mac, client.attachment().address), session);
  ORRERY_TRY(sendFrames(client.netns(), client.attachment().interface, result.probes));
  // What the kernel does in its own time: it asks for a neighbour before it sends to it.
  std::this_thread::sleep_for(watch);
  if (Status settled = settle(auditor, router, session); !settled)
    return wrap(std::move(settled).error(), "cannot say: the uplink does not carry our marker");
  ORRERY_TRY_ASSIGN(result.links, auditor.report(kPatience));
  for (const LinkReport& link : result.links)
    if (link.lost != 0)
      return error("cannot say: the kernel lost {} frames of {}", link.lost, link.name);
  return result;
}

// --- what is said --------------------------------------------------------------------------------

struct TopicCount {
  std::size_t sent = 0, tunnel = 0, direct = 0, leaked = 0;
};

bool holds(const std::vector<unsigned>& numbers, std::size_t number) {
  return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
}

class Report {
 public:
  Report(const LiveRouter& router, std::optional<ProbeResult> probed)
      : router_(router), probed_(std::move(probed)) {
    for (std::size_t i = 0; i < router.models.size(); ++i)
      for (std::string& finding : compare(router.models[i], router.seen[i]))
        findings_.push_back(std::move(finding));
    if (probed_) judgeLinks();
  }

  const std::vector<std::string>& findings() const { return findings_; }
  bool probed() const { return probed_.has_value(); }

  Table structureTable() const {
    Table table({"namespace",
                 {"links", Align::right},
                 {"addresses", Align::right},
                 {"routes", Align::right},
                 {"rules", Align::right},
                 {"nft rules", Align::right},
                 {"settings", Align::right},
                 {"processes", Align::right},
                 {"attached", Align::right},
                 "as planned"});
    for (std::size_t i = 0; i < router_.models.size(); ++i) {
      const StructureCount c = countOf(router_.seen[i]);
      const bool clean = compare(router_.models[i], router_.seen[i]).empty();
      const auto number = [](std::size_t n) { return std::to_string(n); };
      table.row({router_.models[i].name,
                 number(c.links),
                 number(c.addresses),
                 number(c.routes),
                 number(c.rules),
                 number(c.nftRules),
                 number(c.sysctls),
                 number(c.processes),
                 number(c.attached),
                 {clean ? "yes" : "no", clean ? Tone::good : Tone::bad}});
    }
    return table;
  }

  Table probeTable() const {
    Table table({"tried",
                 {"probes", Align::right},
                 {"stopped", Align::right},
                 {"by the tunnel", Align::right},
                 {"by the uplink", Align::right},
                 {"leaked", Align::right}});
    const auto number = [](std::size_t n) { return std::to_string(n); };
    for (const auto& [topic, c] : topics_)
      table.row({topic,
                 number(c.sent),
                 number(c.sent - c.tunnel - c.direct - c.leaked),
                 number(c.tunnel),
                 number(c.direct),
                 {number(c.leaked), c.leaked == 0 ? Tone::plain : Tone::bad}});
    return table;
  }

  Json json() const {
    Json findings = Json::array();
    for (const std::string& each : findings_) findings.push(each);
    Json topics = Json::array();
    for (const auto& [topic, c] : topics_)
      topics.push(Json::object({{"topic", topic},
                                {"probes", c.sent},
                                {"tunnel", c.tunnel},
                                {"uplink", c.direct},
                                {"leaked", c.leaked}}));
    Json links = Json::array();
    if (probed_)
      for (const LinkReport& link : probed_->links) links.push(toJson(link));
    return Json::object({{"schema", "orrery.verify/1"},
                         {"network", router_.spec.id.network},
                         {"router", router_.spec.id.name},
                         {"state", toString(router_.contract.state)},
                         {"clean", findings_.empty()},
                         {"findings", std::move(findings)},
                         {"probes", std::move(topics)},
                         {"links", std::move(links)}});
  }

 private:
  void judgeLinks() {
    for (const LinkReport& link : probed_->links)
      for (const Violation& violation : link.violations) findings_.push_back(say(link, violation));
    for (std::size_t i = 0; i < probed_->probes.size(); ++i) count(i);
  }

  std::string say(const LinkReport& link, const Violation& violation) const {
    std::string text = fmt::format("{} left by the {}: {}", violation.first, link.name,
                                   sentence(violation.breach));
    if (violation.count > 1) text += fmt::format(" ({} such frames)", violation.count);
    if (!violation.probes.empty()) {
      const Probe& probe = probed_->probes[violation.probes.front()];
      text += fmt::format("; sent by the probe '{}: {}'", probe.topic, probe.what);
    }
    return text;
  }

  void count(std::size_t number) {
    const std::string& topic = probed_->probes[number].topic;
    auto at = std::find_if(topics_.begin(), topics_.end(),
                           [&](const auto& each) { return each.first == topic; });
    if (at == topics_.end()) at = topics_.insert(at, {topic, {}});
    TopicCount& count = at->second;
    ++count.sent;
    bool leaked = false, tunnel = false, direct = false;
    for (const LinkReport& link : probed_->links) {
      for (const Violation& violation : link.violations)
        leaked = leaked || holds(violation.probes, number);
      if (!holds(link.passed, number)) continue;
      (link.name == "tunnel" ? tunnel : direct) = true;
    }
    count.leaked += leaked ? 1 : 0;
    count.tunnel += !leaked && tunnel ? 1 : 0;
    count.direct += !leaked && !tunnel && direct ? 1 : 0;
  }

  const LiveRouter& router_;
  std::optional<ProbeResult> probed_;
  std::vector<std::string> findings_;
  std::vector<std::pair<std::string, TopicCount>> topics_;
};

// --- the command ---------------------------------------------------------------------------------

class VerifyCommand final : public Command {
 public:
  std::string_view name() const override { return "verify"; }
  std::string_view summary() const override {
    return "Check that nothing leaves a router that must not";
  }
  std::string_view details() const override {
    return "Holds the router's namespaces against its plan, then lets a throw-away client try "
           "what\n"
           "a client could, while every link that leads out is watched.\n"
           "Exit code 6 if anything is found, a sentence for each; 1 if it cannot be said.\n"
           "--audit watches without probes until it is ended. It tells of the first violation of\n"
           "each kind, of what is hung on a link, and of frames that the kernel lost.";
  }
  void declare(CommandLine& line) override {
    line.optionalWord("NAME", name_, Completes::routers, "Router");
    line.flag("--structure", structureOnly_, "Send no probes");
    line.number("--watch", watch_, "SECONDS", "Watch this long after the probes; 1");
    line.flag("--audit", audit_, "Watch only, and go on until ended");
    line.flag("--contract", contract_, "Print the leak contract of every kind of router");
  }

  CommandResult run(CommandContext& context) override {
    if (contract_) {
      context.console.print(contractTable());
      return 0;
    }
    if (!name_) return failure(ExitCode::usage, "a router is expected: verify NAME");
    if (watch_.value_or(1) > kMaxWatch)
      return failure(ExitCode::usage, fmt::format("--watch takes 0 to {} seconds", kMaxWatch));
    ORRERY_TRY_ASSIGN(const RouterId id, findRouter(context.root, *name_));
    const RouterView view = viewRouter(context.root, id);
    LiveQuery query{id, view.running ? view.state : std::nullopt, clientPorts, context.root};
    if (audit_) {
      ORRERY_TRY(AuditFollower(context, query).run());
      return 0;
    }
    ORRERY_TRY_ASSIGN(const LiveRouter router, lookTwice(query));
    if (structureOnly_) return show(context.console, Report(router, std::nullopt));
    auto probed = probe(router, context.root, std::chrono::seconds(watch_.value_or(1)));
    if (probed) return show(context.console, Report(router, *std::move(probed)));
    // A router that was tampered with may take no client; what its structure tells is told.
    const Report structure(router, std::nullopt);
    if (structure.findings().empty()) return tl::unexpected<Failure>(std::move(probed).error());
    context.console.fail(probed.error());
    return show(context.console, structure);
  }

 private:
  static CommandResult show(Console& console, const Report& report) {
    const bool clean = report.findings().empty();
    if (console.mode().json) {
      console.document(report.json());
    } else {
      console.table(report.structureTable());
      if (report.probed()) {
        console.print("\n");
        console.table(report.probeTable());
      }
      for (const std::string& finding : report.findings()) console.print("\nLEAK: " + finding);
      console.print(clean ? "\nNothing was found.\n" : "\n");
    }
    return static_cast<int>(clean ? ExitCode::ok : ExitCode::leak);
  }

  std::optional<std::string> name_;
  std::optional<unsigned> watch_;
  bool structureOnly_ = false;
  bool audit_ = false;
  bool contract_ = false;
};

}  // namespace

std::unique_ptr<Command> makeVerifyCommand() {
  return std::make_unique<VerifyCommand>();
}

}  // namespace orrery
