// Between Ops and libnftnl's expression objects. Private to netns/nft.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "netns/nft/vm.h"
#include "sandbox/base/result.h"

extern "C" {
struct nftnl_chain;
struct nftnl_expr;
struct nftnl_rule;
struct nftnl_set;
struct nftnl_table;
}

namespace orrery::nft::vm {

struct FreeNftnl {
  void operator()(nftnl_chain* p) const;
  void operator()(nftnl_expr* p) const;
  void operator()(nftnl_rule* p) const;
  void operator()(nftnl_set* p) const;
  void operator()(nftnl_table* p) const;
};
template <class T>
using Owned = std::unique_ptr<T, FreeNftnl>;

// An anonymous set that an expression of the same batch refers to.
struct SetReference {
  const char* name = "";
  std::uint32_t id = 0;
};

using Sets = std::map<std::string, SetData>;  // of one table, by the kernel's name

// Fails for an expression that the installed library does not know.
Result<Owned<nftnl_expr>> encode(const Op& op, const SetReference& set);
Op decode(const nftnl_expr* expr, const Sets& sets);

// The kernel's numbers for a hook; nothing if the family has no such hook.
std::optional<std::uint32_t> hookNumber(Family family, Hook hook);
std::optional<Hook> hookOf(Family family, std::uint32_t number);
std::uint8_t protocolFamily(Family family);  // NFPROTO_*
std::optional<Family> familyOf(std::uint32_t protocolFamily);

}  // namespace orrery::nft::vm
