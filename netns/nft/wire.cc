
#include "netns/nft/wire.h"

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_arp.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

namespace orrery::nft::vm {
namespace {

enum class Form { integer, data, text, given };  // given: the library keeps the memory itself
struct Attribute {
  std::uint16_t number;
  Form form;
  // A dump states some attributes although we never set them: their default means "absent".
  bool zeroIsAbsent = false;
};
struct Shape {
  std::string_view name;
  std::vector<Attribute> attributes;  // every one that changes what the expression does
};

const std::vector<Shape>& shapes() {
  using enum Form;
  static const std::vector<Shape> kShapes = {
      {"meta",
       {{NFTNL_EXPR_META_KEY, integer},
        {NFTNL_EXPR_META_DREG, integer},
        {NFTNL_EXPR_META_SREG, integer}}},
      {"payload",
       {{NFTNL_EXPR_PAYLOAD_DREG, integer},
        {NFTNL_EXPR_PAYLOAD_BASE, integer},
        {NFTNL_EXPR_PAYLOAD_OFFSET, integer},
        {NFTNL_EXPR_PAYLOAD_LEN, integer},
        {NFTNL_EXPR_PAYLOAD_SREG, integer},
        {NFTNL_EXPR_PAYLOAD_CSUM_TYPE, integer},
        {NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, integer},
        {NFTNL_EXPR_PAYLOAD_FLAGS, integer}}},
      {"bitwise",
       {{NFTNL_EXPR_BITWISE_SREG, integer},
        {NFTNL_EXPR_BITWISE_DREG, integer},
        {NFTNL_EXPR_BITWISE_LEN, integer},
        {NFTNL_EXPR_BITWISE_MASK, data},
        {NFTNL_EXPR_BITWISE_XOR, data},
        {NFTNL_EXPR_BITWISE_OP, integer, true},
        {NFTNL_EXPR_BITWISE_DATA, data}}},
      {"cmp",
       {{NFTNL_EXPR_CMP_SREG, integer}, {NFTNL_EXPR_CMP_OP, integer}, {NFTNL_EXPR_CMP_DATA, data}}},
      {"range",
       {{NFTNL_EXPR_RANGE_SREG, integer},
        {NFTNL_EXPR_RANGE_OP, integer},
        {NFTNL_EXPR_RANGE_FROM_DATA, data},
        {NFTNL_EXPR_RANGE_TO_DATA, data}}},
      {"lookup",
       {{NFTNL_EXPR_LOOKUP_SREG, integer},
        {NFTNL_EXPR_LOOKUP_DREG, integer},
        {NFTNL_EXPR_LOOKUP_SET, text},
        {NFTNL_EXPR_LOOKUP_FLAGS, integer, true}}},
      {"ct",
       {{NFTNL_EXPR_CT_DREG, integer},
        {NFTNL_EXPR_CT_KEY, integer},
        {NFTNL_EXPR_CT_DIR, integer},
        {NFTNL_EXPR_CT_SREG, integer}}},
      {"fib",
       {{NFTNL_EXPR_FIB_DREG, integer},
        {NFTNL_EXPR_FIB_RESULT, integer},
        {NFTNL_EXPR_FIB_FLAGS, integer}}},
      {"limit",
       {{NFTNL_EXPR_LIMIT_RATE, integer},
        {NFTNL_EXPR_LIMIT_UNIT, integer},
        {NFTNL_EXPR_LIMIT_BURST, integer},
        {NFTNL_EXPR_LIMIT_TYPE, integer},
        {NFTNL_EXPR_LIMIT_FLAGS, integer}}},
      {"connlimit", {{NFTNL_EXPR_CONNLIMIT_COUNT, integer}, {NFTNL_EXPR_CONNLIMIT_FLAGS, integer}}},
      {"dynset",
       {{NFTNL_EXPR_DYNSET_SREG_KEY, integer},
        {NFTNL_EXPR_DYNSET_SREG_DATA, integer},
        {NFTNL_EXPR_DYNSET_OP, integer},
        {NFTNL_EXPR_DYNSET_TIMEOUT, integer, true},
        {NFTNL_EXPR_DYNSET_SET_NAME, text},
        {NFTNL_EXPR_DYNSET_FLAGS, integer, true}}},
      {"immediate",
       {{NFTNL_EXPR_IMM_DREG, integer},
        {NFTNL_EXPR_IMM_DATA, data},
        {NFTNL_EXPR_IMM_VERDICT, integer},
        {NFTNL_EXPR_IMM_CHAIN, text}}},
      {"counter", {{NFTNL_EXPR_CTR_PACKETS, integer}, {NFTNL_EXPR_CTR_BYTES, integer}}},
      {"reject", {{NFTNL_EXPR_REJECT_TYPE, integer}, {NFTNL_EXPR_REJECT_CODE, integer}}},
      {"masq",
       {{NFTNL_EXPR_MASQ_FLAGS, integer, true},
        {NFTNL_EXPR_MASQ_REG_PROTO_MIN, integer},
        {NFTNL_EXPR_MASQ_REG_PROTO_MAX, integer}}},
      {"nat",
       {{NFTNL_EXPR_NAT_TYPE, integer},
        {NFTNL_EXPR_NAT_FAMILY, integer},
        {NFTNL_EXPR_NAT_REG_ADDR_MIN, integer},
        {NFTNL_EXPR_NAT_REG_ADDR_MAX, integer},
        {NFTNL_EXPR_NAT_REG_PROTO_MIN, integer},
        {NFTNL_EXPR_NAT_REG_PROTO_MAX, integer},
        {NFTNL_EXPR_NAT_FLAGS, integer}}},
      {"redir",
       {{NFTNL_EXPR_REDIR_REG_PROTO_MIN, integer},
        {NFTNL_EXPR_REDIR_REG_PROTO_MAX, integer},
        {NFTNL_EXPR_REDIR_FLAGS, integer, true}}},
      {"tproxy",
       {{NFTNL_EXPR_TPROXY_FAMILY, integer},
        {NFTNL_EXPR_TPROXY_REG_ADDR, integer},
        {NFTNL_EXPR_TPROXY_REG_PORT, integer}}},
      {"log",
       {{NFTNL_EXPR_LOG_PREFIX, text},
        {NFTNL_EXPR_LOG_GROUP, integer},
        {NFTNL_EXPR_LOG_SNAPLEN, integer, true},
        {NFTNL_EXPR_LOG_QTHRESHOLD, integer, true},
        {NFTNL_EXPR_LOG_LEVEL, integer},
        {NFTNL_EXPR_LOG_FLAGS, integer, true}}},
      {"match",
       {{NFTNL_EXPR_MT_NAME, text}, {NFTNL_EXPR_MT_REV, integer}, {NFTNL_EXPR_MT_INFO, given}}},
      {"notrack", {}},
      {"rt", {{NFTNL_EXPR_RT_KEY, integer}, {NFTNL_EXPR_RT_DREG, integer}}},
      {"byteorder",
       {{NFTNL_EXPR_BYTEORDER_DREG, integer},
        {NFTNL_EXPR_BYTEORDER_SREG, integer},
        {NFTNL_EXPR_BYTEORDER_OP, integer},
        {NFTNL_EXPR_BYTEORDER_LEN, integer},
        {NFTNL_EXPR_BYTEORDER_SIZE, integer}}},
      {"exthdr",
       {{NFTNL_EXPR_EXTHDR_DREG, integer},
        {NFTNL_EXPR_EXTHDR_TYPE, integer},
        {NFTNL_EXPR_EXTHDR_OFFSET, integer},
        {NFTNL_EXPR_EXTHDR_LEN, integer},
        {NFTNL_EXPR_EXTHDR_FLAGS, integer, true},
        {NFTNL_EXPR_EXTHDR_OP, integer},
        {NFTNL_EXPR_EXTHDR_SREG, integer}}},
  };
  return kShapes;
}

const Shape* shapeOf(std::string_view name) {
  for (const Shape& shape : shapes())
    if (shape.name == name) return &shape;
  return nullptr;
}

Form formOf(const Shape& shape, std::uint16_t number) {
  for (const Attribute& attribute : shape.attributes)
    if (attribute.number == number) return attribute.form;
  return Form::data;
}

}  // namespace

void FreeNftnl::operator()(nftnl_chain* p) const {
  nftnl_chain_free(p);
}
void FreeNftnl::operator()(nftnl_expr* p) const {
  nftnl_expr_free(p);
}
void FreeNftnl::operator()(nftnl_rule* p) const {
  nftnl_rule_free(p);
}
void FreeNftnl::operator()(nftnl_set* p) const {
  nftnl_set_free(p);
}
void FreeNftnl::operator()(nftnl_table* p) const {
  nftnl_table_free(p);
}

Result<Owned<nftnl_expr>> encode(const Op& op, const SetReference& set) {
  const Shape* shape = shapeOf(op.name);
  Owned<nftnl_expr> expr(shape != nullptr ? nftnl_expr_alloc(op.name.c_str()) : nullptr);
  if (!expr) return error("libnftnl has no expression '{}'", op.name);
  for (const auto& [number, value] : op.attributes) {
    // Text is set with its NUL; integers have the width that the library expects.
    const Form form = formOf(*shape, number);
    const bool text = form == Form::text;
    const auto length = static_cast<std::uint32_t>(value.size() + (text ? 1 : 0));
    std::unique_ptr<void, decltype(&std::free)> copy(nullptr, &std::free);
    if (form == Form::given) {
      copy.reset(std::malloc(length));
      if (!copy) return sysError(ENOMEM, "encode '{}'", op.name);
      std::memcpy(copy.get(), value.data(), length);
    }
    const void* bytes = copy ? copy.get() : value.c_str();
    if (nftnl_expr_set(expr.get(), number, bytes, length) != 0)
      return error("libnftnl refused attribute {} of '{}'", number, op.name);
    (void)copy.release();
  }
  if (op.set) {
    nftnl_expr_set_str(expr.get(), NFTNL_EXPR_LOOKUP_SET, set.name);
    nftnl_expr_set_u32(expr.get(), NFTNL_EXPR_LOOKUP_SET_ID, set.id);
  }
  for (const Op& inner : op.inner) {
    ORRERY_TRY_ASSIGN(auto part, encode(inner, {}));
    nftnl_expr_add_expr(expr.get(), NFTNL_EXPR_DYNSET_EXPRESSIONS, part.release());  // owned by it
  }
  return expr;
}

namespace {

// The anonymous set that a lookup refers to.
const SetData* anonymousOf(const nftnl_expr* expr, const Op& op, const Sets& sets) {
  if (op.name != "lookup" || !nftnl_expr_is_set(expr, NFTNL_EXPR_LOOKUP_SET)) return nullptr;
  const auto found = sets.find(nftnl_expr_get_str(expr, NFTNL_EXPR_LOOKUP_SET));
  return found != sets.end() ? &found->second : nullptr;
}

}  // namespace

Op decode(const nftnl_expr* expr, const Sets& sets) {
  const char* name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
  Op op{name != nullptr ? name : "?", {}, std::nullopt};
  const Shape* shape = shapeOf(op.name);
  if (shape == nullptr) return op;
  if (const SetData* set = anonymousOf(expr, op, sets)) op.set = *set;
  for (const Attribute& attribute : shape->attributes) {
    if (op.set && attribute.number == NFTNL_EXPR_LOOKUP_SET) continue;  // its name tells nothing
    if (!nftnl_expr_is_set(expr, attribute.number)) continue;
    std::uint32_t length = 0;
    const auto* data = static_cast<const char*>(nftnl_expr_get(expr, attribute.number, &length));
    if (data == nullptr) continue;
    std::string value = attribute.form == Form::text ? std::string(data, ::strlen(data))
                                                     : std::string(data, length);
    const bool zero = value.find_first_not_of('\0') == std::string::npos;
    if (attribute.zeroIsAbsent && zero) continue;
    op.attributes.emplace_back(attribute.number, std::move(value));
  }
  if (op.name == "dynset")
    (void)nftnl_expr_expr_foreach(
        expr,
        [](nftnl_expr* inner, void* context) {
          static_cast<Op*>(context)->inner.push_back(decode(inner, {}));
          return 0;
        },
        &op);
  return op;
}

std::optional<std::uint32_t> hookNumber(Family family, Hook hook) {
  switch (family) {
    case Family::netdev:
      return hook == Hook::ingress ? std::optional<std::uint32_t>(NF_NETDEV_INGRESS) : std::nullopt;
    case Family::arp:
      if (hook == Hook::input) return NF_ARP_IN;
      if (hook == Hook::output) return NF_ARP_OUT;
      return std::nullopt;
    case Family::inet:
      if (hook == Hook::ingress) return std::nullopt;  // needs a device: use netdev
      break;
    case Family::ip:
    case Family::ip6:
    case Family::bridge:  // the same numbers: linux/netfilter_bridge.h
      if (hook == Hook::ingress) return std::nullopt;
      break;
  }
  switch (hook) {
    case Hook::prerouting:
      return NF_INET_PRE_ROUTING;
    case Hook::input:
      return NF_INET_LOCAL_IN;
    case Hook::forward:
      return NF_INET_FORWARD;
    case Hook::output:
      return NF_INET_LOCAL_OUT;
    case Hook::postrouting:
      return NF_INET_POST_ROUTING;
    case Hook::ingress:
      break;
  }
  return std::nullopt;
}

std::optional<Hook> hookOf(Family family, std::uint32_t number) {
  for (const Hook hook : {Hook::prerouting, Hook::input, Hook::forward, Hook::output,
                          Hook::postrouting, Hook::ingress})
    if (hookNumber(family, hook) == number) return hook;
  return std::nullopt;
}

std::uint8_t protocolFamily(Family family) {
  switch (family) {
    case Family::ip:
      return NFPROTO_IPV4;
    case Family::ip6:
      return NFPROTO_IPV6;
    case Family::inet:
      return NFPROTO_INET;
    case Family::arp:
      return NFPROTO_ARP;
    case Family::bridge:
      return NFPROTO_BRIDGE;
    case Family::netdev:
      return NFPROTO_NETDEV;
  }
  return NFPROTO_UNSPEC;
}

std::optional<Family> familyOf(std::uint32_t number) {
  for (const Family family :
       {Family::ip, Family::ip6, Family::inet, Family::arp, Family::bridge, Family::netdev})
    if (protocolFamily(family) == number) return family;
  return std::nullopt;
}

}  // namespace orrery::nft::vm
