// The filters of a LAN's definition: one chain for each direction that has some, behind the guard's
// accept (a frame goes on to the chains of lower priority at a hook) and before any port.
//
// A filter is a program that says "yes" to what may pass. A frame that it cannot read to the end
// (too short for the expression to be answered) gets no "yes", so that nothing is let through for
// being cut. The first rule is the way of a frame that every filter passes; the others find out
// which one did not, for its counter: the one behind the filters that pass it.
#include "routers/firewall/parts.h"

namespace orrery {
namespace {

using namespace nft;
using namespace firewall;

constexpr std::int32_t kBehindGuard = priority::kBridgeFilter + 10;

// The definition's reader has tried it. One that cannot be used passes nothing.
Bpf matchOf(const FilterSpec& filter) {
  constexpr std::uint16_t kReturn = 0x06;  // BPF_RET | BPF_K
  auto program = forBridgeHooks(filter.passes);
  return Bpf{program ? *std::move(program) : BpfProgram{{kReturn, 0, 0, 0}}};
}

}  // namespace

std::string filterName(std::size_t number) {
  return "filter-" + std::to_string(number + 1);
}

std::optional<Chain> firewall::filterChain(const RouterSpec& spec, FilterDirection direction) {
  std::vector<std::string> names;
  Exprs passed;
  for (std::size_t n = 0; n < spec.lan.filters.size(); ++n) {
    if (spec.lan.filters[n].direction != direction) continue;
    names.push_back(filterName(n));
    passed.emplace_back(matchOf(spec.lan.filters[n]));
  }
  if (names.empty()) return std::nullopt;
  std::vector<Rule> rules = {accept("passes", passed)};
  while (!names.empty()) {
    passed.pop_back();
    rules.push_back(drop(names.back(), passed));
    names.pop_back();
  }
  const bool from = direction == FilterDirection::fromClient;
  return chain(toString(direction), from ? Hook::prerouting : Hook::postrouting, kBehindGuard,
               std::move(rules));
}

}  // namespace orrery
