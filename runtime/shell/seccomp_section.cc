// seccomp, bytecode: the confinement of each service, and of the supervisor itself. What the kernel
// says of the process, and what its profile means; the profile is the one that is built in, or the
// user's own of the definition.
#include "runtime/shell/proc_status.h"
#include "runtime/shell/sections.h"
#include "sandbox/base/strings.h"
#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/dump.h"
#include "sandbox/seccomp/embedded.h"
#include "sandbox/seccomp/install.h"

namespace orrery {
namespace {

// Bits of CapEff by their names (linux/capability.h): "cap_net_raw".
constexpr const char* kCapabilities[] = {"chown",
                                         "dac_override",
                                         "dac_read_search",
                                         "fowner",
                                         "fsetid",
                                         "kill",
                                         "setgid",
                                         "setuid",
                                         "setpcap",
                                         "linux_immutable",
                                         "net_bind_service",
                                         "net_broadcast",
                                         "net_admin",
                                         "net_raw",
                                         "ipc_lock",
                                         "ipc_owner",
                                         "sys_module",
                                         "sys_rawio",
                                         "sys_chroot",
                                         "sys_ptrace",
                                         "sys_pacct",
                                         "sys_admin",
                                         "sys_boot",
                                         "sys_nice",
                                         "sys_resource",
                                         "sys_time",
                                         "sys_tty_config",
                                         "mknod",
                                         "lease",
                                         "audit_write",
                                         "audit_control",
                                         "setfcap",
                                         "mac_override",
                                         "mac_admin",
                                         "syslog",
                                         "wake_alarm",
                                         "block_suspend",
                                         "audit_read",
                                         "perfmon",
                                         "bpf",
                                         "checkpoint_restore"};

BuiltProfile fromBuiltIn(FlatProfile flat, std::span<const sock_filter> program,
                         std::span<const sock_filter> reporting) {
  return BuiltProfile{
      std::move(flat), {program.begin(), program.end()}, {reporting.begin(), reporting.end()}};
}

Result<BuiltProfile> profileOf(const InspectTarget& target, const std::string& service) {
  ORRERY_TRY_ASSIGN(const ProfileSet shipped, embeddedProfileSet());
  const SeccompSpec* spec = target.spec ? &target.spec->seccomp : nullptr;
  if (const OwnSeccompProfile* own = ownProfile(spec, service))
    return buildOwnProfile("own-" + service, own->text, shipped);
  ORRERY_TRY_ASSIGN(const auto program, embeddedProfile(service));
  ORRERY_TRY_ASSIGN(const auto reporting, embeddedReportingProfile(service));
  ORRERY_TRY_ASSIGN(FlatProfile flat, flatten(shipped, service));
  return fromBuiltIn(std::move(flat), program, reporting);
}

bool learns(const InspectTarget& target) {
  return target.spec && target.spec->seccomp.learn;
}

Json clauseJson(const FlatCall& call, const FlatClause& clause) {
  Json when = Json::array();
  for (const SeccompCondition& c : clause.when) when.push(c.text);
  return Json::object({{"call", call.name},
                       {"action", toString(clause.action)},
                       {"when", std::move(when)},
                       {"why", clause.why},
                       {"place", fmt::format("{}.toml:{}", clause.profile, clause.line)}});
}

Json profileJson(const BuiltProfile& built) {
  Json rules = Json::array();
  for (const FlatCall& call : built.flat.calls)
    for (const FlatClause& clause : call.clauses) rules.push(clauseJson(call, clause));
  Json exceptions = Json::array();
  for (const SeccompException& e : built.flat.exceptions)
    exceptions.push(Json::object({{"law", e.law}, {"why", e.why}}));
  return Json::object({{"name", built.flat.name},
                       {"default", toString(built.flat.defaultAction)},
                       {"instructions", static_cast<std::int64_t>(built.program.size())},
                       {"exceptions", std::move(exceptions)},
                       {"rules", std::move(rules)}});
}

struct Process {
  std::string mode, filters, capabilities, uid;
  bool noNewPrivileges = false;
};
Process processOf(const ProcStatus& status) {
  Process out;
  out.mode = status.seccompMode();
  out.filters = status.text("Seccomp_filters");
  out.noNewPrivileges = status.text("NoNewPrivs") == "1";
  out.capabilities = capabilityNames(status.text("CapEff"));
  const std::string uids = status.text("Uid") + " ?";
  out.uid = std::string(splitWords(uids).front());
  return out;
}

Json processJson(const ServiceState& service, const ProcStatus& status, const Process& process) {
  return Json::object({{"service", service.name},
                       {"pid", service.pid},
                       {"seccomp", process.mode},
                       {"filters", process.filters},
                       {"noNewPrivs", process.noNewPrivileges},
                       {"capabilities", process.capabilities},
                       {"capEff", status.text("CapEff")},
                       {"capBnd", status.text("CapBnd")},
                       {"uid", process.uid}});
}

bool isSupervisor(const ServiceState& process) {
  return process.name == kSupervisorProfile;
}

// With the supervisor in the form of its services.
std::vector<ServiceState> processesOf(const RouterState& state) {
  std::vector<ServiceState> all = state.services;
  if (state.supervisorPid <= 0) return all;
  ServiceState supervisor;
  supervisor.name = std::string(kSupervisorProfile);
  supervisor.pid = state.supervisorPid;
  all.push_back(std::move(supervisor));
  return all;
}

// What becomes of a refused call.
Cell refusals(const InspectTarget& target, const ServiceState& service) {
  if (isSupervisor(service)) return Cell("end it", Tone::good);
  if (learns(target)) return Cell("let pass", Tone::warning);
  return Cell(seccompCanListen() ? "told" : "not told", Tone::good);
}

Result<RouterState> stateOf(const InspectTarget& target) {
  if (!target.state)
    return sysError(ENOENT, "router '{}' has no state: it was never started", target.id.text());
  return *target.state;
}

}  // namespace

std::string capabilityNames(std::string_view hex) {
  const auto bits = parseNumber<std::uint64_t>(hex, 16);
  if (!bits) return "?";
  std::vector<std::string> names;
  for (unsigned i = 0; i < 64; ++i) {
    if ((*bits >> i & 1) == 0) continue;
    names.push_back(i < std::size(kCapabilities) ? fmt::format("cap_{}", kCapabilities[i])
                                                 : fmt::format("cap_{}", i));
  }
  return names.empty() ? "none" : join(names, ",");
}

Result<InspectView> readSeccomp(const InspectTarget& target) {
  ORRERY_TRY_ASSIGN(const RouterState state, stateOf(target));
  Table table({"service",
               {"pid", Align::right},
               "seccomp",
               {"filters", Align::right},
               "profile",
               "refusals",
               "no new privs",
               "capabilities",
               "uid"});
  InspectView view;
  view.json = Json::array();
  std::vector<InspectBlock> profiles;
  for (const ServiceState& service : processesOf(state)) {
    const auto status = target.running ? readProcStatus(service.pid) : std::nullopt;
    if (!status) continue;
    const Process p = processOf(*status);
    const auto built = profileOf(target, service.name);
    Json json = processJson(service, *status, p);
    table.row({service.name, fmt::format("{}", service.pid),
               Cell(p.mode, p.mode == "filter" ? Tone::good : Tone::bad), p.filters,
               built ? built->flat.name : "?", refusals(target, service),
               p.noNewPrivileges ? "yes" : "no",
               Cell(p.capabilities, p.capabilities == "none" ? Tone::good : Tone::warning), p.uid});
    json.set("learns", learns(target) && !isSupervisor(service));
    if (built && !target.brief) {
      json.set("profile", profileJson(*built));
      profiles.push_back(InspectBlock{service.name, toTable(built->flat)});
    }
    view.json.push(std::move(json));
  }
  view.blocks.push_back(InspectBlock{"", std::move(table)});
  for (InspectBlock& block : profiles) view.blocks.push_back(std::move(block));
  return view;
}

Result<InspectView> readBytecode(const InspectTarget& target) {
  ORRERY_TRY_ASSIGN(const RouterState state, stateOf(target));
  InspectView view;
  view.json = Json::object();
  for (const ServiceState& service : processesOf(state)) {
    ORRERY_TRY_ASSIGN(const BuiltProfile built, profileOf(target, service.name));
    const bool reports = seccompCanListen() && !isSupervisor(service);
    const std::string text = toBytecodeText(reports ? built.reporting : built.program);
    view.blocks.push_back(InspectBlock{
        fmt::format("{}, {}", service.name,
                    reports ? "as installed: refusals are told by 'notify'" : "as installed"),
        text});
    view.json.set(service.name, text);
  }
  return view;
}

}  // namespace orrery
