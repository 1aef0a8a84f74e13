// ns for one system call: without a filter, with ours, and with the same rules as libseccomp orders
// them by default (ascending numbers, no priorities) and as its binary tree
// (SCMP_FLTATR_CTL_OPTIMIZE 2). A filter cannot be taken off, so each benchmark is made in a child
// of its own, and its time comes back through a pipe.
//
//   bench_seccomp [--benchmark_filter=tor]
//
// The calls fail at once (a descriptor of -1), so what is measured is the way into the kernel and
// back, and the filter. "free" calls are those that the profile allows whatever their arguments:
// for them the kernel keeps a bitmap and runs no filter (Linux 5.11).
#include <benchmark/benchmark.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/install.h"

namespace {

using namespace orrery;

struct Call {
  const char* name;
  long number;
  long args[4];
};
// Of each profile's hot list, calls that some argument decides, and calls that none does.
struct Subject {
  const char* profile;
  Call call;
};
constexpr Subject kSubjects[] = {
    {"tor", {"ioctl", SYS_ioctl, {-1, 0x894b, 0, 0}}},           // SIOCOUTQNSD: hot
    {"tor", {"socket", SYS_socket, {2, 0x1001, 0, 0}}},          // refused type flag: EINVAL
    {"tor", {"read", SYS_read, {-1, 0, 0, 0}}},                  // free
    {"tor", {"sendto", SYS_sendto, {-1, 0, 0, 0}}},              // free
    {"dnsmasq", {"ioctl", SYS_ioctl, {-1, 0x8910, 0, 0}}},       // SIOCGIFNAME: hot
    {"dnsmasq", {"setsockopt", SYS_setsockopt, {-1, 0, 8, 0}}},  // hot
    {"dnsmasq", {"recvmsg", SYS_recvmsg, {-1, 0, 0, 0}}},        // free
    {"wireguard-go", {"ioctl", SYS_ioctl, {-1, 0x8921, 0, 0}}},  // SIOCGIFMTU
    {"wireguard-go", {"nanosleep", SYS_nanosleep, {0, 0, 0, 0}}},
    {"openvpn", {"poll", SYS_poll, {0, -1, 0, 0}}},
    {"tproxy", {"splice", SYS_splice, {-1, 0, -1, 0}}},
    {"tproxy", {"setsockopt", SYS_setsockopt, {-1, 6, 1, 0}}},  // TCP_NODELAY
};

std::uint32_t scmpAction(const SeccompAction& action) {
  switch (action.kind) {
    case SeccompAction::Kind::allow:
      return SCMP_ACT_ALLOW;
    case SeccompAction::Kind::log:
      return SCMP_ACT_LOG;
    case SeccompAction::Kind::absent:
      return SCMP_ACT_TRACE(0);
    case SeccompAction::Kind::notify:
      return SCMP_ACT_NOTIFY;
    case SeccompAction::Kind::errnoValue:
      return SCMP_ACT_ERRNO(action.err);
    case SeccompAction::Kind::killProcess:
      break;
  }
  return SCMP_ACT_KILL_PROCESS;
}

// Every combination of one value for each condition: libseccomp knows no sets.
void addClause(scmp_filter_ctx filter, int number, const FlatClause& clause, std::size_t at,
               std::vector<scmp_arg_cmp>& chosen) {
  if (at == clause.when.size()) {
    // Refused where it repeats the default or another rule: the program is the same without.
    (void)seccomp_rule_add_array(filter, scmpAction(clause.action), number,
                                 static_cast<unsigned>(chosen.size()), chosen.data());
    return;
  }
  const SeccompCondition& c = clause.when[at];
  for (const std::uint64_t value : c.values) {
    chosen.push_back(scmp_arg_cmp{c.arg, SCMP_CMP_MASKED_EQ, c.mask, value});
    addClause(filter, number, clause, at + 1, chosen);
    chosen.pop_back();
  }
}

bool installByLibseccomp(const FlatProfile& profile, unsigned optimize) {
  const scmp_filter_ctx filter = seccomp_init(scmpAction(profile.defaultAction));
  if (filter == nullptr) return false;
  if (optimize != 1) (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, optimize);
  for (const FlatCall& call : profile.calls)
    for (const FlatClause& clause : call.clauses) {
      std::vector<scmp_arg_cmp> chosen;
      // It refuses two conditions on one argument (tor's clone): such clauses are left out.
      addClause(filter, call.number, clause, 0, chosen);
    }
  const int done = seccomp_load(filter);
  seccomp_release(filter);
  return done == 0;
}

enum class With { nothing, ours, reporting, libseccomp, libseccompTree };
struct Kind {
  With with;
  const char* name;
};
constexpr Kind kKinds[] = {{With::nothing, "none"},
                           {With::ours, "ours"},
                           {With::reporting, "ours_reporting"},
                           {With::libseccomp, "libseccomp"},
                           {With::libseccompTree, "libseccomp_tree"}};

bool confine(const BuiltProfile& built, With with) {
  switch (with) {
    case With::nothing:
      return true;
    case With::ours:
      return installSeccomp(built.program) == 0;
    case With::reporting:
      return installSeccomp(built.reporting) == 0;
    case With::libseccomp:
      return installByLibseccomp(built.flat, 1);
    case With::libseccompTree:
      return installByLibseccomp(built.flat, 2);
  }
  return false;
}

constexpr int kChunks = 50;
constexpr int kChunk = 20'000;  // calls, some milliseconds: less than a time slice

struct Measured {
  double nanoseconds = -1;  // for one call, in the quietest chunk
  int err = 0;              // how the call ended: a filter that refuses it would look fast
};

long make(const Call& call) {
  return ::syscall(call.number, call.args[0], call.args[1], call.args[2], call.args[3], 0L, 0L);
}

double chunk(const Call& call) {
  timespec begin{};
  timespec end{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < kChunk; ++i) (void)make(call);
  (void)::clock_gettime(CLOCK_MONOTONIC, &end);
  return (static_cast<double>(end.tv_sec - begin.tv_sec) * 1e9 +
          static_cast<double>(end.tv_nsec - begin.tv_nsec)) /
         kChunk;
}

Measured measure(const Call& call) {
  Measured out;
  out.err = make(call) == -1 ? errno : 0;
  for (int i = 0; i < kChunks; ++i) {
    const double ns = chunk(call);
    if (out.nanoseconds < 0 || ns < out.nanoseconds) out.nanoseconds = ns;
  }
  return out;
}

Measured inChild(const BuiltProfile& built, With with, const Call& call) {
  Measured result;
  int fds[2];
  if (::pipe(fds) != 0) return result;
  const pid_t child = ::fork();
  if (child == 0) {
    if (confine(built, with)) result = measure(call);
    (void)!::write(fds[1], &result, sizeof result);
    ::_exit(0);
  }
  (void)::close(fds[1]);
  if (::read(fds[0], &result, sizeof result) != ssize_t{sizeof result}) result = Measured{};
  (void)::close(fds[0]);
  (void)::waitpid(child, nullptr, 0);
  return result;
}

void run(benchmark::State& state, const BuiltProfile& built, With with, const Call& call) {
  const int expected = inChild(built, With::nothing, call).err;
  for ([[maybe_unused]] auto _ : state) {
    const Measured got = inChild(built, with, call);
    if (got.nanoseconds < 0) return state.SkipWithError("the child could not be confined");
    if (got.err != expected) return state.SkipWithError("this filter refuses the call");
    state.SetIterationTime(got.nanoseconds / 1e9);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const auto set = embeddedProfileSet();
  if (!set) {
    std::fprintf(stderr, "%s\n", set.error().message.c_str());
    return 1;
  }
  for (const Subject& subject : kSubjects) {
    auto built = buildProfile(*set, subject.profile);
    if (!built) {
      std::fprintf(stderr, "%s\n", built.error().message.c_str());
      return 1;
    }
    const auto shared = std::make_shared<const BuiltProfile>(std::move(*built));
    for (const Kind& kind : kKinds)
      benchmark::RegisterBenchmark(
          (std::string(subject.profile) + "/" + subject.call.name + "/" + kind.name).c_str(),
          [shared, kind, subject](benchmark::State& state) {
            run(state, *shared, kind.with, subject.call);
          })
          ->UseManualTime()
          ->Iterations(1)
          ->Unit(benchmark::kNanosecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
