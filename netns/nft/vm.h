// The kernel's view of a rule: a list of expressions of its virtual machine, as values.
//
// Compilation goes Rule -> lower() -> Op list -> netlink; a dump goes the other way through lift().
// lift() takes an expression for what it seems to be only if lower() of that gives back the very
// same Ops; all else becomes Unknown. So nothing that the kernel holds can pass for something else.
// lower() and lift() are pure; only wire.cc knows libnftnl's objects.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "netns/nft/ruleset.h"
#include "netns/nft/text.h"

namespace orrery::nft::vm {

// nft's datatype numbers (its datatype.h, part of its ABI as set userdata).
enum DataType : std::uint32_t {
  kIpv4Addr = 7,
  kEtherAddr = 9,
  kEtherType = 10,
  kInetProto = 12,
  kInetService = 13,
  kIcmpType = 14,
  kTcpFlag = 15,
  kPktType = 31,
  kFibAddrType = 38,
  kIfName = 41,
};

struct Element {
  std::string key;
  bool end = false;  // the first key behind an interval
  friend bool operator==(const Element&, const Element&) = default;
};
struct SetData {              // an anonymous constant set
  std::uint32_t keyType = 0;  // nft's own numbering (its datatype.h): only shown by `nft list`
  std::uint32_t keyLength = 0;
  bool interval = false;
  bool hostOrder = false;  // of the keys' bytes: for `nft list` too, so not part of a comparison
  std::vector<Element> elements;  // sorted
  friend bool operator==(const SetData& a, const SetData& b) {
    return a.keyType == b.keyType && a.keyLength == b.keyLength && a.interval == b.interval &&
           a.elements == b.elements;
  }
};
struct Op {
  std::string name;
  // NFTNL_EXPR_* number and value: integers as in memory, strings without NUL. Sorted by number.
  std::vector<std::pair<std::uint16_t, std::string>> attributes;
  std::optional<SetData> set;  // of a lookup
  std::vector<Op> inner = {};  // of a dynset: what each of its elements holds
  friend bool operator==(const Op&, const Op&) = default;

  const std::string* find(std::uint16_t attribute) const {
    for (const auto& [number, value] : attributes)
      if (number == attribute) return &value;
    return nullptr;
  }
};

// How often the kernel looks for elements that have run out. By default it is each second
// (nft_set_gc_interval()), for every such set of every router. One whose elements count connections
// has no timeout, cannot say, and is looked at each second.
inline constexpr std::uint32_t kGcSeconds = 60;

// 32-bit words that a part of a key takes: each begins at a register of its own.
std::uint32_t wordsOf(KeyType type);
// A named set as the kernel has it: nft's number of the concatenated type, and bytes of a key.
std::uint32_t keyTypeOf(const NamedSet& set);
std::uint32_t keyLengthOf(const NamedSet& set);
// Nothing if the number is no concatenation of types that the model has.
std::optional<std::vector<KeyType>> keyOf(std::uint32_t keyType);
// The bytes of an element, and back; nothing if they do not fit the set's key.
std::optional<std::string> packKey(const std::vector<KeyType>& key,
                                   const std::vector<KeyValue>& values);
std::optional<std::vector<KeyValue>> unpackKey(const std::vector<KeyType>& key,
                                               const std::string& bytes);

std::vector<Op> lower(const Expr& expr, Family family);
std::vector<Op> lower(const Rule& rule, Family family);  // the counter before the first statement
Rule lift(const std::vector<Op>& ops, Family family, RuleCount* count);

}  // namespace orrery::nft::vm
