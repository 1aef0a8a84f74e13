// Reads the tables of ours back. Several dumps make one picture, so the ruleset's generation number
// is read before and after; if it moved, everything is read again.
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "netns/nft/exchange.h"
#include "netns/nft/nft.h"
#include "netns/nft/wire.h"

namespace orrery {
namespace {

using namespace nft;

constexpr int kAttempts = 8;

struct Picture {
  CountedRuleset counted;
  std::map<Family, vm::Sets> sets;
  bool stale = false;  // something changed while it was taken

  std::size_t indexOf(Family family) {
    for (std::size_t i = 0; i < counted.ruleset.tables.size(); ++i)
      if (counted.ruleset.tables[i].family == family) return i;
    return counted.ruleset.tables.size();
  }
  void addChain(std::size_t table, Chain chain) {
    counted.counts[table].emplace_back(chain.rules.size());
    counted.ruleset.tables[table].chains.push_back(std::move(chain));
  }
  // Something in a table that the model has no words for: comparison must fail.
  void addStrange(std::size_t table, std::string what) {
    Chain chain{"(" + what + ")", std::nullopt, {}};
    chain.rules.push_back(Rule{{Unknown{std::move(what)}}, "", false});
    addChain(table, std::move(chain));
  }
};

std::string textOf(const char* text) {
  return text != nullptr ? text : "";
}

void takeTable(Picture& picture, const nlmsghdr* message) {
  vm::Owned<nftnl_table> object(nftnl_table_alloc());
  if (nftnl_table_nlmsg_parse(message, object.get()) != 0) return;
  const std::string name = textOf(nftnl_table_get_str(object.get(), NFTNL_TABLE_NAME));
  const auto number = nftnl_table_get_u32(object.get(), NFTNL_TABLE_FAMILY);
  const auto family = vm::familyOf(number);
  if (!family || name != kTableName) {
    picture.counted.foreign.push_back(
        (family ? toString(*family) : "family " + std::to_string(number)) + (" " + name));
    return;
  }
  picture.counted.ruleset.tables.push_back({*family, name, {}, {}});
  picture.counted.counts.emplace_back();
  // A dormant table has its hooks removed: it must not look like the same table in force.
  if (nftnl_table_get_u32(object.get(), NFTNL_TABLE_FLAGS) != 0)
    picture.addStrange(picture.counted.ruleset.tables.size() - 1, "table flags");
}

Result<ChainType> typeOf(const std::string& name) {
  if (name == "filter") return ChainType::filter;
  if (name == "nat") return ChainType::nat;
  if (name == "route") return ChainType::route;
  return error("chain type '{}'", name);
}

Result<Base> baseOf(const nftnl_chain* object, Family family) {
  Base base;
  ORRERY_TRY_ASSIGN(base.type, typeOf(textOf(nftnl_chain_get_str(object, NFTNL_CHAIN_TYPE))));
  const auto hook = vm::hookOf(family, nftnl_chain_get_u32(object, NFTNL_CHAIN_HOOKNUM));
  if (!hook) return error("chain hook");
  base.hook = *hook;
  base.priority = nftnl_chain_get_s32(object, NFTNL_CHAIN_PRIO);
  base.policy =
      nftnl_chain_get_u32(object, NFTNL_CHAIN_POLICY) == NF_ACCEPT ? Policy::accept : Policy::drop;
  if (nftnl_chain_is_set(object, NFTNL_CHAIN_DEV))
    base.device = textOf(nftnl_chain_get_str(object, NFTNL_CHAIN_DEV));
  if (nftnl_chain_is_set(object, NFTNL_CHAIN_DEVICES)) {
    const char* const* devices = nftnl_chain_get_array(object, NFTNL_CHAIN_DEVICES);
    if (devices != nullptr && devices[0] != nullptr) base.device = devices[0];
    if (devices != nullptr && devices[0] != nullptr && devices[1] != nullptr)
      return error("chain devices");
  }
  return base;
}

void takeChain(Picture& picture, const nlmsghdr* message) {
  vm::Owned<nftnl_chain> object(nftnl_chain_alloc());
  if (nftnl_chain_nlmsg_parse(message, object.get()) != 0) return;
  const auto family = vm::familyOf(nftnl_chain_get_u32(object.get(), NFTNL_CHAIN_FAMILY));
  if (!family || textOf(nftnl_chain_get_str(object.get(), NFTNL_CHAIN_TABLE)) != kTableName) return;
  const std::size_t table = picture.indexOf(*family);
  if (table == picture.counted.ruleset.tables.size()) {
    picture.stale = true;
    return;
  }
  Chain chain{textOf(nftnl_chain_get_str(object.get(), NFTNL_CHAIN_NAME)), std::nullopt, {}};
  if (nftnl_chain_is_set(object.get(), NFTNL_CHAIN_HOOKNUM)) {
    auto base = baseOf(object.get(), *family);
    if (base)
      chain.base = *base;
    else
      picture.addStrange(table, chain.name + ": " + base.error().message);
  }
  picture.addChain(table, std::move(chain));
}

struct SetHead {
  Family family = Family::ip;
  std::string name;
  std::optional<std::vector<KeyType>> key;  // of a named one
};

// False for a named set that the model has no words for.
bool takeNamedSet(Picture& picture, std::size_t table, const nftnl_set* object) {
  const std::uint32_t flags = nftnl_set_get_u32(object, NFTNL_SET_FLAGS);
  constexpr std::uint32_t kDynamic = NFT_SET_EVAL | NFT_SET_TIMEOUT;
  if (flags != 0 && flags != NFT_SET_EVAL && flags != kDynamic) return false;
  auto key = vm::keyOf(nftnl_set_get_u32(object, NFTNL_SET_KEY_TYPE));
  if (!key) return false;
  NamedSet set{textOf(nftnl_set_get_str(object, NFTNL_SET_NAME)), std::move(*key), 0};
  if (nftnl_set_is_set(object, NFTNL_SET_DESC_SIZE))
    set.size = nftnl_set_get_u32(object, NFTNL_SET_DESC_SIZE);
  set.dynamic = flags != 0;
  const std::uint64_t timeout = nftnl_set_get_u64(object, NFTNL_SET_TIMEOUT);  // milliseconds
  const std::uint32_t collected = nftnl_set_get_u32(object, NFTNL_SET_GC_INTERVAL);
  const bool timed = flags == kDynamic;
  if (timeout % 1000 != 0 || (timeout != 0) != timed) return false;
  if (collected != (timed ? vm::kGcSeconds * 1000 : 0)) return false;
  set.timeout = static_cast<std::uint32_t>(timeout / 1000);
  if (vm::keyLengthOf(set) != nftnl_set_get_u32(object, NFTNL_SET_KEY_LEN)) return false;
  picture.counted.ruleset.tables[table].sets.push_back(std::move(set));
  return true;
}

// The elements of a named set, out of where those of all sets were put.
void keepElements(Picture& picture, const SetHead& head) {
  const auto found = picture.sets[head.family].find(head.name);
  for (const vm::Element& element : found->second.elements)
    if (auto values = vm::unpackKey(*head.key, element.key))
      picture.counted.elements.push_back({head.family, head.name, std::move(*values)});
  // Lookups in it are known by its name, not by what is in it.
  picture.sets[head.family].erase(found);
}

int takeElement(nftnl_set_elem* element, void* context) {
  auto& data = *static_cast<vm::SetData*>(context);
  std::uint32_t length = 0;
  const void* key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &length);
  if (key == nullptr) return 0;
  const bool end =
      nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_FLAGS) &&
      (nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_FLAGS) & NFT_SET_ELEM_INTERVAL_END) != 0;
  data.elements.push_back({std::string(static_cast<const char*>(key), length), end});
  return 0;
}

Status takeElements(NftSocket& socket, Picture& picture, const SetHead& head) {
  vm::SetData& data = picture.sets[head.family][head.name];
  vm::Owned<nftnl_set> wanted(nftnl_set_alloc());
  nftnl_set_set_str(wanted.get(), NFTNL_SET_TABLE, kTableName);
  nftnl_set_set_str(wanted.get(), NFTNL_SET_NAME, head.name.c_str());
  ORRERY_TRY_ASSIGN(
      const bool interrupted,
      ask(
          socket, NFT_MSG_GETSETELEM, vm::protocolFamily(head.family), true,
          [&](nlmsghdr* request) { nftnl_set_elems_nlmsg_build_payload(request, wanted.get()); },
          [&](const nlmsghdr* message) {
            vm::Owned<nftnl_set> part(nftnl_set_alloc());
            if (nftnl_set_elems_nlmsg_parse(message, part.get()) != 0) return;
            (void)nftnl_set_elem_foreach(part.get(), takeElement, &data);
          }));
  picture.stale = picture.stale || interrupted;
  std::sort(data.elements.begin(), data.elements.end(),
            [](const vm::Element& a, const vm::Element& b) {
              return a.key != b.key ? a.key < b.key : a.end > b.end;
            });
  return {};
}

Status takeSets(NftSocket& socket, Picture& picture) {
  std::vector<SetHead> heads;
  const auto take = [&](const nlmsghdr* message) {
    vm::Owned<nftnl_set> object(nftnl_set_alloc());
    if (nftnl_set_nlmsg_parse(message, object.get()) != 0) return;
    const auto family = vm::familyOf(nftnl_set_get_u32(object.get(), NFTNL_SET_FAMILY));
    if (!family || textOf(nftnl_set_get_str(object.get(), NFTNL_SET_TABLE)) != kTableName) return;
    const std::string name = textOf(nftnl_set_get_str(object.get(), NFTNL_SET_NAME));
    const std::uint32_t flags = nftnl_set_get_u32(object.get(), NFTNL_SET_FLAGS);
    constexpr std::uint32_t kOurs = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT;
    SetHead head{*family, name, std::nullopt};
    if ((flags & ~std::uint32_t{NFT_SET_INTERVAL}) != kOurs) {
      const std::size_t table = picture.indexOf(*family);
      if (table == picture.counted.ruleset.tables.size()) {
        picture.stale = true;
        return;
      }
      if (!takeNamedSet(picture, table, object.get())) {
        picture.addStrange(table, "set " + name);
        return;
      }
      const NamedSet& set = picture.counted.ruleset.tables[table].sets.back();
      if (set.dynamic) return;  // what packets put into it is no business of ours
      head.key = set.key;
    }
    vm::SetData data;
    data.keyType = nftnl_set_get_u32(object.get(), NFTNL_SET_KEY_TYPE);
    data.keyLength = nftnl_set_get_u32(object.get(), NFTNL_SET_KEY_LEN);
    data.interval = (flags & NFT_SET_INTERVAL) != 0;
    picture.sets[*family][name] = std::move(data);
    heads.push_back(std::move(head));
  };
  ORRERY_TRY_ASSIGN(const bool interrupted,
                    ask(socket, NFT_MSG_GETSET, NFPROTO_UNSPEC, true, {}, take));
  picture.stale = picture.stale || interrupted;
  for (const SetHead& head : heads) {
    ORRERY_TRY(takeElements(socket, picture, head));
    if (head.key) keepElements(picture, head);
  }
  std::sort(picture.counted.elements.begin(), picture.counted.elements.end());
  return {};
}

std::string commentOf(const nftnl_rule* object) {
  std::uint32_t length = 0;
  const auto* data =
      static_cast<const unsigned char*>(nftnl_rule_get_data(object, NFTNL_RULE_USERDATA, &length));
  for (std::uint32_t at = 0; data != nullptr && at + 2 <= length;) {
    const std::uint32_t size = data[at + 1];
    if (at + 2 + size > length) break;
    if (data[at] == NFTNL_UDATA_RULE_COMMENT && size > 0) {
      const std::string text(reinterpret_cast<const char*>(data + at + 2), size);
      return text.substr(0, text.find('\0'));
    }
    at += 2 + size;
  }
  return {};
}

std::vector<vm::Op> opsOf(const nftnl_rule* object, const vm::Sets& sets) {
  std::vector<vm::Op> ops;
  nftnl_expr_iter* iterator = nftnl_expr_iter_create(object);
  if (iterator == nullptr) return ops;
  while (const nftnl_expr* expr = nftnl_expr_iter_next(iterator))
    ops.push_back(vm::decode(expr, sets));
  nftnl_expr_iter_destroy(iterator);
  return ops;
}

// The table and chain of a rule, read by hand: the library gives up on a whole rule when it meets
// an expression that it does not know, and the rule must not vanish.
struct RulePlace {
  std::string table, chain;
};
int keepPlace(const nlattr* attribute, void* context) {
  auto& place = *static_cast<RulePlace*>(context);
  const std::uint16_t type = mnl_attr_get_type(attribute);
  if (type != NFTA_RULE_TABLE && type != NFTA_RULE_CHAIN) return MNL_CB_OK;
  if (mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) != 0) return MNL_CB_OK;
  (type == NFTA_RULE_TABLE ? place.table : place.chain) = mnl_attr_get_str(attribute);
  return MNL_CB_OK;
}
RulePlace placeOf(const nlmsghdr* message) {
  RulePlace place;
  (void)mnl_attr_parse(message, sizeof(nfgenmsg), keepPlace, &place);
  return place;
}

void takeRule(Picture& picture, const nlmsghdr* message) {
  const auto* nf = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(message));
  const auto family = vm::familyOf(nf->nfgen_family);
  const RulePlace place = placeOf(message);
  if (!family || place.table != kTableName) return;
  const std::size_t table = picture.indexOf(*family);
  if (table == picture.counted.ruleset.tables.size()) {
    picture.stale = true;
    return;
  }
  auto& chains = picture.counted.ruleset.tables[table].chains;
  const auto chain = std::find_if(chains.begin(), chains.end(),
                                  [&](const Chain& c) { return c.name == place.chain; });
  if (chain == chains.end()) {
    picture.stale = true;
    return;
  }
  vm::Owned<nftnl_rule> object(nftnl_rule_alloc());
  Rule rule{{Unknown{"rule"}}, "", false};
  RuleCount count;
  if (nftnl_rule_nlmsg_parse(message, object.get()) == 0) {
    rule = vm::lift(opsOf(object.get(), picture.sets[*family]), *family, &count);
    rule.comment = commentOf(object.get());
  }
  chain->rules.push_back(std::move(rule));
  picture.counted.counts[table][static_cast<std::size_t>(chain - chains.begin())].push_back(count);
}

Result<bool> takeEach(NftSocket& socket, Picture& picture, std::uint16_t type,
                      void (*take)(Picture&, const nlmsghdr*)) {
  return ask(socket, type, NFPROTO_UNSPEC, true, {},
             [&](const nlmsghdr* message) { take(picture, message); });
}

// Tables in the order of their families, as canonical() has them; the counts go along.
CountedRuleset ordered(CountedRuleset counted) {
  std::vector<std::size_t> order(counted.ruleset.tables.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return counted.ruleset.tables[a].family < counted.ruleset.tables[b].family;
  });
  CountedRuleset result;
  result.foreign = std::move(counted.foreign);
  result.elements = std::move(counted.elements);
  for (const std::size_t i : order) {
    auto& sets = counted.ruleset.tables[i].sets;
    std::sort(sets.begin(), sets.end(),
              [](const NamedSet& a, const NamedSet& b) { return a.name < b.name; });
    result.ruleset.tables.push_back(std::move(counted.ruleset.tables[i]));
    result.counts.push_back(std::move(counted.counts[i]));
  }
  return result;
}

Result<Picture> takePicture(NftSocket& socket) {
  Picture picture;
  ORRERY_TRY_ASSIGN(const std::uint32_t before, generation(socket));
  ORRERY_TRY_ASSIGN(bool stale, takeEach(socket, picture, NFT_MSG_GETTABLE, takeTable));
  if (!picture.counted.ruleset.tables.empty()) {
    ORRERY_TRY_ASSIGN(const bool chains, takeEach(socket, picture, NFT_MSG_GETCHAIN, takeChain));
    ORRERY_TRY(takeSets(socket, picture));
    ORRERY_TRY_ASSIGN(const bool rules, takeEach(socket, picture, NFT_MSG_GETRULE, takeRule));
    stale = stale || chains || rules;
  }
  ORRERY_TRY_ASSIGN(const std::uint32_t after, generation(socket));
  picture.stale = picture.stale || stale || before != after;
  return picture;
}

}  // namespace

Result<CountedRuleset> dumpCountedRuleset(NftSocket& socket) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto picture = takePicture(socket);
    // A set or chain that went away between two questions answers ENOENT: look again.
    if (!picture && picture.error().err != ENOENT)
      return tl::unexpected<Error>(std::move(picture).error());
    if (picture && !picture->stale) return ordered(std::move(picture->counted));
  }
  return sysError(EAGAIN, "the ruleset changed {} times while it was read", kAttempts);
}

Result<nft::Ruleset> dumpRuleset(NftSocket& socket) {
  ORRERY_TRY_ASSIGN(CountedRuleset counted, dumpCountedRuleset(socket));
  return std::move(counted.ruleset);
}

}  // namespace orrery
