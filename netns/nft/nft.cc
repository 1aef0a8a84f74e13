
#include "netns/nft/nft.h"

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "netns/namespace/netns.h"
#include "netns/nft/exchange.h"
#include "netns/nft/wire.h"

namespace orrery {
namespace {

using namespace nft;

constexpr std::size_t kMaxSetValues = 256;    // so that a set's elements fit one message
constexpr std::size_t kMaxExprs = 64;         // of a rule, likewise
constexpr std::size_t kMaxChainName = 64;     // bytes; NFT_NAME_MAXLEN is 256
constexpr std::size_t kMaxLogPrefix = 127;    // NF_LOG_PREFIXLEN 128 with NUL
constexpr const char* kSetName = "__set%d";   // the kernel fills in the number
constexpr std::uint32_t kMaxSetSize = 65535;  // of a named set
constexpr std::size_t kMaxKeyParts = 4;
constexpr std::uint32_t kMilliseconds = 1000;  // in a second
constexpr int kAttempts = 8;

std::string nameOf(const Table& table) {
  return std::string(toString(table.family)) + " " + table.name;
}

// --- checks before anything is sent --------------------------------------------------------------

// The number of values of a list-valued match; nothing for the others.
struct ValueCount {
  std::optional<std::size_t> operator()(const Interface& e) const { return e.names.size(); }
  std::optional<std::size_t> operator()(const Protocol& e) const { return e.types.size(); }
  std::optional<std::size_t> operator()(const EtherType& e) const { return e.types.size(); }
  std::optional<std::size_t> operator()(const TcpFlags& e) const { return e.values.size(); }
  std::optional<std::size_t> operator()(const L4Proto& e) const { return e.protocols.size(); }
  std::optional<std::size_t> operator()(const PacketTypeIs& e) const { return e.types.size(); }
  std::optional<std::size_t> operator()(const Address& e) const { return e.prefixes.size(); }
  std::optional<std::size_t> operator()(const Port& e) const { return e.ranges.size(); }
  std::optional<std::size_t> operator()(const IcmpType& e) const { return e.types.size(); }
  std::optional<std::size_t> operator()(const FibType& e) const { return e.types.size(); }
  std::optional<std::size_t> operator()(const EtherAddress& e) const { return e.addresses.size(); }
  std::optional<std::size_t> operator()(const Payload& e) const { return e.bytes.size(); }
  std::optional<std::size_t> operator()(const InSet& e) const { return e.key.size(); }
  std::optional<std::size_t> operator()(const OverRate& e) const { return e.key.size(); }
  std::optional<std::size_t> operator()(const OverCount& e) const { return e.key.size(); }
  template <class T>
  std::optional<std::size_t> operator()(const T&) const {
    return std::nullopt;
  }
};

// An empty name compares with the name of no interface, a long one would be cut.
bool usableNames(const Interface& e) {
  return std::all_of(e.names.begin(), e.names.end(), [](const std::string& name) {
    return !name.empty() && name.size() <= kMaxIfNameLength;
  });
}

// The kernel checks the instructions.
Status checkLength(const Bpf& e) {
  if (!e.program.empty() && e.program.size() <= kMaxBpfInstructions) return {};
  return error("a filter program of {} instructions; 1 to {} are possible", e.program.size(),
               kMaxBpfInstructions);
}

Status checkExpr(const Expr& expr) {
  if (const auto* unknown = std::get_if<Unknown>(&expr))
    return error("an unknown expression '{}' cannot be written", unknown->name);
  const auto values = std::visit(ValueCount{}, expr);
  if (values && *values == 0) return error("a match on an empty list");
  if (values && *values > kMaxSetValues)
    return error("a match on {} values; at most {} are possible", *values, kMaxSetValues);
  if (const auto* e = std::get_if<Bpf>(&expr)) ORRERY_TRY(checkLength(*e));
  if (const auto* e = std::get_if<Interface>(&expr); e != nullptr && !usableNames(*e))
    return error("an interface name must have 1 to {} bytes", kMaxIfNameLength);
  if (const auto* e = std::get_if<Payload>(&expr); e != nullptr && e->bytes.size() > 16)
    return error("a raw payload match of {} bytes; at most 16 fit a register", e->bytes.size());
  if (const auto* e = std::get_if<Log>(&expr); e != nullptr && e->prefix.size() > kMaxLogPrefix)
    return error("a log prefix of {} bytes; at most {} are possible", e->prefix.size(),
                 kMaxLogPrefix);
  return {};
}

Status checkRule(const Rule& rule) {
  if (rule.comment.size() > kMaxCommentLength)
    return error("a comment of {} bytes; at most {} are possible", rule.comment.size(),
                 kMaxCommentLength);
  if (rule.comment.find('\0') != std::string::npos) return error("a comment with a NUL byte");
  if (rule.exprs.size() > kMaxExprs) return error("more than {} expressions", kMaxExprs);
  for (const Expr& expr : rule.exprs) ORRERY_TRY(checkExpr(expr));
  return {};
}

Status checkChain(const Table& table, const Chain& chain) {
  const std::string name = nameOf(table) + "/" + chain.name;
  if (chain.name.empty() || chain.name.size() > kMaxChainName)
    return error("chain {}: a name must have 1 to {} bytes", name, kMaxChainName);
  if (chain.base && !vm::hookNumber(table.family, chain.base->hook))
    return error("chain {}: family {} has no hook {}", name, toString(table.family),
                 toString(chain.base->hook));
  if (chain.base && chain.base->device.has_value() != (table.family == Family::netdev))
    return error("chain {}: a device belongs to family netdev, and only there", name);
  for (std::size_t i = 0; i < chain.rules.size(); ++i)
    if (Status s = checkRule(chain.rules[i]); !s)
      return wrap(std::move(s).error(), "rule {} of chain {}", i + 1, name);
  return {};
}

Status checkSet(const Table& table, const NamedSet& set) {
  if (set.name.empty() || set.name.size() > kMaxChainName)
    return error("set {}/{}: a name must have 1 to {} bytes", nameOf(table), set.name,
                 kMaxChainName);
  if (set.key.empty() || set.key.size() > kMaxKeyParts)
    return error("set {}/{}: a key has 1 to {} parts", nameOf(table), set.name, kMaxKeyParts);
  if (set.dynamic && set.size == 0)
    return error("set {}/{}: a dynamic set needs a size", nameOf(table), set.name);
  if (set.timeout != 0 && !set.dynamic)
    return error("set {}/{}: only a dynamic set has a timeout", nameOf(table), set.name);
  if (set.size > kMaxSetSize)
    return error("set {}/{}: at most {} elements", nameOf(table), set.name, kMaxSetSize);
  return {};
}

Status check(const Ruleset& ruleset) {
  for (const Table& table : ruleset.tables) {
    if (table.name != kTableName)
      return error("table {}: only tables named '{}' are ours to write", nameOf(table), kTableName);
    for (const NamedSet& set : table.sets) ORRERY_TRY(checkSet(table, set));
    for (const Chain& chain : table.chains) ORRERY_TRY(checkChain(table, chain));
  }
  return {};
}

// --- messages ------------------------------------------------------------------------------------

void addTable(Batch& batch, const Table& table) {
  nlmsghdr* message = batch.add("table " + nameOf(table), NFT_MSG_NEWTABLE,
                                vm::protocolFamily(table.family), NLM_F_CREATE | NLM_F_EXCL);
  vm::Owned<nftnl_table> object(nftnl_table_alloc());
  nftnl_table_set_str(object.get(), NFTNL_TABLE_NAME, table.name.c_str());
  nftnl_table_nlmsg_build_payload(message, object.get());
}

void deleteTable(Batch& batch, Family family) {
  nlmsghdr* message = batch.add(std::string("delete table ") + toString(family) + " " + kTableName,
                                NFT_MSG_DELTABLE, vm::protocolFamily(family), 0);
  vm::Owned<nftnl_table> object(nftnl_table_alloc());
  nftnl_table_set_str(object.get(), NFTNL_TABLE_NAME, kTableName);
  nftnl_table_nlmsg_build_payload(message, object.get());
}

const char* typeName(ChainType type) {
  switch (type) {
    case ChainType::filter:
      return "filter";
    case ChainType::nat:
      return "nat";
    case ChainType::route:
      return "route";
  }
  return "filter";
}

void addChain(Batch& batch, const Table& table, const Chain& chain) {
  nlmsghdr* message = batch.add("chain " + nameOf(table) + "/" + chain.name, NFT_MSG_NEWCHAIN,
                                vm::protocolFamily(table.family), NLM_F_CREATE | NLM_F_EXCL);
  vm::Owned<nftnl_chain> object(nftnl_chain_alloc());
  nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TABLE, table.name.c_str());
  nftnl_chain_set_str(object.get(), NFTNL_CHAIN_NAME, chain.name.c_str());
  if (chain.base) {
    const Base& base = *chain.base;
    nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TYPE, typeName(base.type));
    nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_HOOKNUM,
                        *vm::hookNumber(table.family, base.hook));
    nftnl_chain_set_s32(object.get(), NFTNL_CHAIN_PRIO, base.priority);
    nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_POLICY,
                        base.policy == Policy::accept ? NF_ACCEPT : NF_DROP);
    if (base.device) nftnl_chain_set_str(object.get(), NFTNL_CHAIN_DEV, base.device->c_str());
  }
  nftnl_chain_nlmsg_build_payload(message, object.get());
}

// nft's own user data: one type, length, value. Tells `nft list` how to print the keys.
std::string byteOrderData(bool hostOrder) {
  const std::uint32_t order = hostOrder ? 1 : 2;  // enum byteorder of nft's datatype.h
  std::string data = {static_cast<char>(NFTNL_UDATA_SET_KEYBYTEORDER), sizeof order};
  data.append(reinterpret_cast<const char*>(&order), sizeof order);
  return data;
}

void addElements(nftnl_set* set, const vm::SetData& data) {
  for (const vm::Element& element : data.elements) {
    nftnl_set_elem* object = nftnl_set_elem_alloc();
    nftnl_set_elem_set(object, NFTNL_SET_ELEM_KEY, element.key.data(),
                       static_cast<std::uint32_t>(element.key.size()));
    if (element.end)
      nftnl_set_elem_set_u32(object, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    nftnl_set_elem_add(set, object);  // the set owns it
  }
}

// The set and its elements, as two messages.
void addSet(Batch& batch, const std::string& label, const Table& table, const vm::SetData& data,
            std::uint32_t id) {
  const std::uint8_t family = vm::protocolFamily(table.family);
  vm::Owned<nftnl_set> set(nftnl_set_alloc());
  std::uint32_t flags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT;
  if (data.interval) flags |= NFT_SET_INTERVAL;
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, table.name.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, kSetName);
  nftnl_set_set_u32(set.get(), NFTNL_SET_ID, id);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, flags);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FAMILY, family);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, data.keyType);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, data.keyLength);
  nftnl_set_set_u32(set.get(), NFTNL_SET_DESC_SIZE,
                    static_cast<std::uint32_t>(data.elements.size()));
  const std::string order = byteOrderData(data.hostOrder);
  nftnl_set_set_data(set.get(), NFTNL_SET_USERDATA, order.data(),
                     static_cast<std::uint32_t>(order.size()));
  nftnl_set_nlmsg_build_payload(batch.add("set of " + label, NFT_MSG_NEWSET, family, NLM_F_CREATE),
                                set.get());
  addElements(set.get(), data);
  nftnl_set_elems_nlmsg_build_payload(
      batch.add("elements of " + label, NFT_MSG_NEWSETELEM, family, NLM_F_CREATE), set.get());
}

void addNamedSet(Batch& batch, const Table& table, const NamedSet& set, std::uint32_t id) {
  const std::uint8_t family = vm::protocolFamily(table.family);
  vm::Owned<nftnl_set> object(nftnl_set_alloc());
  nftnl_set_set_str(object.get(), NFTNL_SET_TABLE, table.name.c_str());
  nftnl_set_set_str(object.get(), NFTNL_SET_NAME, set.name.c_str());
  nftnl_set_set_u32(object.get(), NFTNL_SET_ID, id);
  std::uint32_t flags = set.dynamic ? NFT_SET_EVAL : 0;
  if (set.timeout != 0) {
    flags |= NFT_SET_TIMEOUT;
    nftnl_set_set_u64(object.get(), NFTNL_SET_TIMEOUT, std::uint64_t{set.timeout} * kMilliseconds);
    nftnl_set_set_u32(object.get(), NFTNL_SET_GC_INTERVAL, vm::kGcSeconds * kMilliseconds);
  }
  nftnl_set_set_u32(object.get(), NFTNL_SET_FLAGS, flags);
  nftnl_set_set_u32(object.get(), NFTNL_SET_FAMILY, family);
  nftnl_set_set_u32(object.get(), NFTNL_SET_KEY_TYPE, vm::keyTypeOf(set));
  nftnl_set_set_u32(object.get(), NFTNL_SET_KEY_LEN, vm::keyLengthOf(set));
  if (set.size != 0) nftnl_set_set_u32(object.get(), NFTNL_SET_DESC_SIZE, set.size);
  nftnl_set_nlmsg_build_payload(batch.add("set " + nameOf(table) + "/" + set.name, NFT_MSG_NEWSET,
                                          family, NLM_F_CREATE | NLM_F_EXCL),
                                object.get());
}

std::string describe(const SetElement& element) {
  std::string text = std::string(toString(element.family)) + " " + kTableName + "/" + element.set;
  for (const KeyValue& value : element.key) {
    text += " ";
    if (const auto* name = std::get_if<std::string>(&value)) text += *name;
    if (const auto* mac = std::get_if<Mac>(&value)) text += toString(*mac);
    if (const auto* address = std::get_if<Ipv4>(&value)) text += toString(*address);
  }
  return text;
}

// One element, one message: so that an error names it.
void changeElement(Batch& batch, const SetElement& element, bool add) {
  std::vector<KeyType> key;
  for (const KeyValue& value : element.key) key.push_back(static_cast<KeyType>(value.index()));
  const std::string bytes = *vm::packKey(key, element.key);
  vm::Owned<nftnl_set> set(nftnl_set_alloc());
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, kTableName);
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, element.set.c_str());
  nftnl_set_elem* object = nftnl_set_elem_alloc();
  nftnl_set_elem_set(object, NFTNL_SET_ELEM_KEY, bytes.data(),
                     static_cast<std::uint32_t>(bytes.size()));
  nftnl_set_elem_add(set.get(), object);  // the set owns it
  nftnl_set_elems_nlmsg_build_payload(
      batch.add((add ? "element of set " : "remove from set ") + describe(element),
                add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, vm::protocolFamily(element.family),
                static_cast<std::uint16_t>(add ? NLM_F_CREATE : 0)),
      set.get());
}

// nft's own user data: type, length, bytes with NUL.
std::string commentData(const std::string& comment) {
  std::string data;
  data.push_back(static_cast<char>(NFTNL_UDATA_RULE_COMMENT));
  data.push_back(static_cast<char>(comment.size() + 1));
  data.append(comment);
  data.push_back('\0');
  return data;
}

Status addRule(Batch& batch, const Table& table, const Chain& chain, const Rule& rule,
               const std::string& label, std::uint32_t& setId) {
  vm::Owned<nftnl_rule> object(nftnl_rule_alloc());
  nftnl_rule_set_str(object.get(), NFTNL_RULE_TABLE, table.name.c_str());
  nftnl_rule_set_str(object.get(), NFTNL_RULE_CHAIN, chain.name.c_str());
  if (!rule.comment.empty()) {
    const std::string data = commentData(rule.comment);
    nftnl_rule_set_data(object.get(), NFTNL_RULE_USERDATA, data.data(),
                        static_cast<std::uint32_t>(data.size()));
  }
  for (const vm::Op& op : vm::lower(rule, table.family)) {
    if (op.set) addSet(batch, label, table, *op.set, ++setId);
    auto expr = vm::encode(op, {kSetName, setId});
    if (!expr) return wrap(std::move(expr).error(), "{}", label);
    nftnl_rule_add_expr(object.get(), expr->release());  // the rule owns it
  }
  nftnl_rule_nlmsg_build_payload(batch.add(label, NFT_MSG_NEWRULE, vm::protocolFamily(table.family),
                                           NLM_F_CREATE | NLM_F_APPEND),
                                 object.get());
  return {};
}

Status addContents(Batch& batch, const Table& table, std::uint32_t& setId) {
  for (const Chain& chain : table.chains) {
    for (std::size_t i = 0; i < chain.rules.size(); ++i) {
      const Rule& rule = chain.rules[i];
      const std::string label =
          fmt::format("rule {} of chain {}/{} ({})", i + 1, nameOf(table), chain.name,
                      rule.comment.empty() ? toText(rule, table.family) : rule.comment);
      ORRERY_TRY(addRule(batch, table, chain, rule, label, setId));
    }
  }
  return {};
}

// The families in which the kernel holds a table of ours.
Result<std::vector<Family>> ownedFamilies(NftSocket& socket) {
  std::vector<Family> families;
  ORRERY_TRY(ask(socket, NFT_MSG_GETTABLE, NFPROTO_UNSPEC, true, {}, [&](const nlmsghdr* message) {
    vm::Owned<nftnl_table> table(nftnl_table_alloc());
    if (nftnl_table_nlmsg_parse(message, table.get()) != 0) return;
    const char* name = nftnl_table_get_str(table.get(), NFTNL_TABLE_NAME);
    const auto family = vm::familyOf(nftnl_table_get_u32(table.get(), NFTNL_TABLE_FAMILY));
    if (name != nullptr && std::string_view(name) == kTableName && family)
      families.push_back(*family);
  }));
  return families;
}

}  // namespace

Result<NftSocket> NftSocket::prepare(UniqueFd fd) {
  const int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK})
    if (::setsockopt(fd.get(), SOL_NETLINK, option, &on, sizeof on) != 0)
      return sysError(errno, "set netlink option {}", option);
  return NftSocket(std::move(fd));
}

Result<NftSocket> NftSocket::open(const NetnsFd& netns) {
  ORRERY_TRY_ASSIGN(UniqueFd fd, socketIn(netns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
  return prepare(std::move(fd));
}

Result<NftSocket> NftSocket::openHere() {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return sysError(errno, "open a netfilter netlink socket");
  return prepare(std::move(fd));
}

namespace {

// What the sets of the new ruleset shall begin with: what they held before.
struct Kept {
  std::optional<std::uint32_t> generation;  // of the ruleset that it was read from
  std::vector<SetElement> elements;
};

const NamedSet* findSet(const Ruleset& ruleset, Family family, const std::string& name) {
  for (const Table& table : ruleset.tables)
    if (table.family == family)
      for (const NamedSet& set : table.sets)
        if (set.name == name) return &set;
  return nullptr;
}

Result<Kept> keptElements(NftSocket& socket, const Ruleset& wanted) {
  Kept kept;
  const bool anySets = std::any_of(wanted.tables.begin(), wanted.tables.end(),
                                   [](const Table& table) { return !table.sets.empty(); });
  if (!anySets) return kept;
  ORRERY_TRY_ASSIGN(kept.generation, generation(socket));
  ORRERY_TRY_ASSIGN(const CountedRuleset present, dumpCountedRuleset(socket));
  for (const SetElement& element : present.elements) {
    const NamedSet* before = findSet(present.ruleset, element.family, element.set);
    const NamedSet* after = findSet(wanted, element.family, element.set);
    if (before != nullptr && after != nullptr && !after->dynamic && before->key == after->key)
      kept.elements.push_back(element);
  }
  return kept;
}

bool usesBpf(const Ruleset& ruleset) {
  for (const Table& table : ruleset.tables)
    for (const Chain& chain : table.chains)
      for (const Rule& rule : chain.rules)
        for (const Expr& expr : rule.exprs)
          if (std::holds_alternative<Bpf>(expr)) return true;
  return false;
}

Status replaceOnce(NftSocket& socket, const Ruleset& ruleset) {
  socket.setCost({1, 1, 0});  // the question for what is there
  ORRERY_TRY_ASSIGN(const auto old, ownedFamilies(socket));
  Kept kept;
  if (!old.empty()) {
    ORRERY_TRY_ASSIGN(kept, keptElements(socket, ruleset));
  }
  Batch batch(socket, kept.generation);
  for (const Family family : old) deleteTable(batch, family);
  std::uint32_t setId = 0;
  for (const Table& table : ruleset.tables) {
    addTable(batch, table);
    for (const NamedSet& set : table.sets) addNamedSet(batch, table, set, ++setId);
    for (const Chain& chain : table.chains) addChain(batch, table, chain);
    ORRERY_TRY(addContents(batch, table, setId));
  }
  for (const SetElement& element : kept.elements) changeElement(batch, element, true);
  return batch.commit();
}

Status checkElement(const SetElement& element) {
  if (element.key.empty() || element.key.size() > kMaxKeyParts)
    return error("set {}: a key has 1 to {} parts", element.set, kMaxKeyParts);
  for (const KeyValue& value : element.key)
    if (const auto* name = std::get_if<std::string>(&value);
        name != nullptr && (name->empty() || name->size() > kMaxIfNameLength))
      return error("an interface name must have 1 to {} bytes", kMaxIfNameLength);
  return {};
}

}  // namespace

Status replaceRuleset(NftSocket& socket, const nft::Ruleset& wanted) {
  ORRERY_TRY(check(wanted));
  const Ruleset ruleset = canonical(wanted);
  if (usesBpf(ruleset)) ORRERY_TRY(loadMatch(socket, "bpf", 1));
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    Status replaced = replaceOnce(socket, ruleset);
    if (replaced || replaced.error().err != ERESTART) return replaced;
  }
  return sysError(EAGAIN, "the ruleset changed {} times while it was replaced", kAttempts);
}

Status addToSets(NftSocket& socket, const std::vector<SetElement>& elements) {
  Batch batch(socket);
  for (const SetElement& element : elements) {
    ORRERY_TRY(checkElement(element));
    changeElement(batch, element, true);
  }
  return batch.commit();
}

Status removeFromSets(NftSocket& socket, const std::vector<SetElement>& elements) {
  // One by one: an element that is not there would keep the others from being removed.
  // (NFT_MSG_DESTROYSETELEM, which forgives that, is of Linux 6.3.)
  for (const SetElement& element : elements) {
    ORRERY_TRY(checkElement(element));
    Batch batch(socket);
    changeElement(batch, element, false);
    if (Status removed = batch.commit(); !removed && removed.error().err != ENOENT) return removed;
  }
  return {};
}

Status deleteRuleset(NftSocket& socket) {
  return replaceRuleset(socket, Ruleset{});
}

}  // namespace orrery
