// TCP connections in a namespace that tracks them, until connection tracking has forgotten
// them: without anybody who is told of that, and with a ForgottenFlows. As root:
//
//   bench_conntrack --benchmark_repetitions=12 --benchmark_enable_random_interleaving=true
//
// They have ended by then, so the subscriber's filter leaves all of them out: this is the price of
// what a router does all day.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "netns/conntrack/forgotten.h"
#include "netns/link/link.h"
#include "netns/namespace/netns.h"
#include "netns/nft/nft.h"

namespace {

using namespace orrery;

constexpr int kBatch = 500;  // connections
constexpr std::uint16_t kPort = 8080;

template <class T>
T must(Result<T> result) {
  if (result) {
    if constexpr (!std::is_void_v<T>)
      return std::move(*result);
    else
      return;
  }
  (void)std::fprintf(stderr, "bench_conntrack: %s\n", result.error().message.c_str());
  std::exit(1);
}

// A rule that asks for a state is what makes the kernel track at all.
nft::Ruleset rulesThatTrack() {
  nft::Chain chain;
  chain.name = "output";
  chain.base = nft::Base{nft::ChainType::filter, nft::Hook::output, 0, nft::Policy::accept};
  chain.rules = {nft::Rule{{nft::CtState{.established = true}, nft::Accept{}}, "", false}};
  nft::Table table;
  table.chains = {chain};
  return nft::Ruleset{{table}};
}

struct Router {
  NetnsFd netns = must(createNetns());
  UniqueFd listener;
  Conntrack tracking = must(Conntrack::open(netns));
  sockaddr_in address{};

  Router() {
    Rtnl rtnl = must(Rtnl::open(netns));
    must(setLinkUp(rtnl, must(IfName::parse("lo"))));
    NftSocket rules = must(NftSocket::open(netns));
    must(replaceRuleset(rules, rulesThatTrack()));
    address.sin_family = AF_INET;
    address.sin_port = htons(kPort);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = must(socketIn(netns, AF_INET, SOCK_STREAM, 0));
    if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener.get(), kBatch) != 0)
      std::abort();
  }

  UniqueFd connected() {
    UniqueFd client = must(socketIn(netns, AF_INET, SOCK_STREAM, 0));
    // Ended by a reset, so that no port is kept in TIME_WAIT.
    const linger reset{1, 0};
    (void)::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      std::abort();
    return client;
  }
};

void connections(benchmark::State& state, bool told) {
  Router router;
  std::optional<ForgottenFlows> forgotten;
  if (told) forgotten = must(ForgottenFlows::watch(router.netns));
  const auto connectAndEnd = [&router] {
    const UniqueFd client = router.connected();
    const UniqueFd server(::accept4(router.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  };
  for (auto unused : state) {
    (void)unused;
    for (int i = 0; i < kBatch; ++i) connectAndEnd();
    must(router.tracking.forgetAll());
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
  if (!told) return;
  if (!must(forgotten->read()).empty()) state.SkipWithError("ended connections were told");
  const UniqueFd open = router.connected();
  must(router.tracking.forgetAll());
  if (must(forgotten->read()).size() != 1) state.SkipWithError("an open connection was not told");
}

BENCHMARK_CAPTURE(connections, untold, false)->UseRealTime();
BENCHMARK_CAPTURE(connections, told, true)->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
