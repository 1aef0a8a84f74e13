// Rulesets in the kernel: one namespace's tables replaced whole in one atomic batch, and read back
// into the same model.
//
// We own the tables named kTableName ("orrery"), of any family; others are never touched, only
// named in a dump. All calls need CAP_NET_ADMIN in the user namespace that owns the network
// namespace. A socket belongs for ever to the namespace that it was opened in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "netns/nft/ruleset.h"
#include "netns/nft/text.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// What the last replaceRuleset() or deleteRuleset() of a socket cost.
struct NftCost {
  std::size_t sends = 0;     // sendmsg(2) calls
  std::size_t messages = 0;  // netlink messages in them
  std::size_t bytes = 0;
};

class NftSocket {
 public:
  // Opens a netfilter netlink socket inside `netns` (on a thread that ends at once).
  static Result<NftSocket> open(const NetnsFd& netns);
  // In the namespace of the calling thread.
  static Result<NftSocket> openHere();

  int fd() const { return fd_.get(); }
  std::uint32_t nextSequence() { return ++sequence_; }
  const NftCost& cost() const { return cost_; }
  void setCost(const NftCost& cost) { cost_ = cost; }

 private:
  explicit NftSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  static Result<NftSocket> prepare(UniqueFd fd);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  NftCost cost_;
};

// Replaces all tables of ours by those of `ruleset`: afterwards either all of it holds or what held
// before. Packets see the one or the other. An error names the object and carries the kernel's own
// words if it gave any: "chain ip orrery/forward: Operation not supported". Unknown expressions,
// foreign table names, over-long names and comments are refused before anything is sent.
// Elements of a named set stay if the new ruleset has a set of that name and key; EAGAIN if they
// kept changing meanwhile.
Status replaceRuleset(NftSocket& socket, const nft::Ruleset& ruleset);

// Elements of named sets of our tables. All of them are added (or removed) or none is; what is
// there already (or is not) is fine. ENOENT where there is no such set, ENFILE where it is full.
Status addToSets(NftSocket& socket, const std::vector<nft::SetElement>& elements);
Status removeFromSets(NftSocket& socket, const std::vector<nft::SetElement>& elements);

// Removes all tables of ours. None there is fine.
Status deleteRuleset(NftSocket& socket);

// Our tables, canonical: equals canonical(r) after replaceRuleset(r). Consistent (one generation of
// the ruleset); EAGAIN if it kept changing while it was read.
Result<nft::Ruleset> dumpRuleset(NftSocket& socket);
Result<nft::CountedRuleset> dumpCountedRuleset(NftSocket& socket);

}  // namespace orrery
