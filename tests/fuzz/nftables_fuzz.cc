// The expressions of a rule as a dump has them, lifted into the model and printed. They are made
// from the bytes here and not from a netlink message: libnftnl, which reads those, ends the program
// at the first attribute of a wrong length (its abi_breakage()), so that nothing would reach our
// code.
//
//   rule:  family, then expressions: name, attributes, set
//   attributes: count, then number, length, bytes of each
//   set:   0, or 1, key type, key length, interval, count, then length, bytes, end of each element
// Every number is one byte, those of families and names modulo their count.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "netns/nft/text.h"
#include "netns/nft/vm.h"

namespace {

using namespace orrery::nft;

constexpr const char* kNames[] = {"immediate", "cmp",   "bitwise",   "meta",    "payload", "lookup",
                                  "ct",        "fib",   "limit",     "counter", "reject",  "masq",
                                  "nat",       "redir", "tproxy",    "log",     "notrack", "exthdr",
                                  "rt",        "range", "byteorder", "quota",   "socket",  ""};
constexpr Family kFamilies[] = {Family::ip,  Family::ip6,    Family::inet,
                                Family::arp, Family::bridge, Family::netdev};

class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool done() const { return at_ == size_; }
  std::uint8_t number() { return done() ? std::uint8_t{0} : data_[at_++]; }
  std::string bytes() {
    const std::size_t wanted = number();
    const std::size_t length = std::min(wanted, size_ - at_);
    std::string text(reinterpret_cast<const char*>(data_) + at_, length);
    at_ += length;
    return text;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

std::optional<vm::SetData> readSet(Reader& in) {
  if (in.number() == 0) return std::nullopt;
  vm::SetData set;
  set.keyType = in.number();
  set.keyLength = in.number();
  set.interval = in.number() % 2 == 1;
  const std::size_t count = in.number();
  for (std::size_t i = 0; i < count && !in.done(); ++i) {
    vm::Element element;
    element.key = in.bytes();
    element.end = in.number() % 2 == 1;
    set.elements.push_back(std::move(element));
  }
  return set;
}

vm::Op readOp(Reader& in) {
  vm::Op op;
  op.name = kNames[in.number() % std::size(kNames)];
  const std::size_t count = in.number() % 16;
  for (std::size_t i = 0; i < count && !in.done(); ++i) {
    const std::uint16_t number = in.number();
    op.attributes.emplace_back(number, in.bytes());
  }
  // As decode() leaves them.
  std::sort(op.attributes.begin(), op.attributes.end());
  op.set = readSet(in);
  return op;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader in(data, size);
  const Family family = kFamilies[in.number() % std::size(kFamilies)];
  std::vector<vm::Op> ops;
  while (!in.done() && ops.size() < 64) ops.push_back(readOp(in));
  RuleCount count;
  const Rule rule = vm::lift(ops, family, &count);
  (void)toText(rule, family);
  // Whatever was lifted can be said to the kernel again, or is marked as unknown.
  for (const Expr& expr : rule.exprs)
    if (!std::holds_alternative<Unknown>(expr)) (void)vm::lower(expr, family);
  return 0;
}
