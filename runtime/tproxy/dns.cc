#include "runtime/tproxy/dns.h"

#include <algorithm>
#include <cstring>

#include "sandbox/base/strings.h"

namespace orrery::tproxy::dns {
namespace {

constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxWireName = 255;
constexpr std::size_t kMaxAdditional = 8;

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::size_t position() const { return at_; }
  std::size_t left() const { return bytes_.size() - at_; }
  bool skip(std::size_t n) {
    if (left() < n) return false;
    at_ += n;
    return true;
  }
  std::optional<std::uint8_t> u8() {
    if (left() < 1) return std::nullopt;
    return bytes_[at_++];
  }
  std::optional<std::uint16_t> u16() {
    if (left() < 2) return std::nullopt;
    const unsigned value = static_cast<unsigned>(bytes_[at_]) << 8 | bytes_[at_ + 1];
    at_ += 2;
    return static_cast<std::uint16_t>(value);
  }
  std::span<const std::uint8_t> take(std::size_t n) {
    const auto taken = bytes_.subspan(at_, n);
    at_ += n;
    return taken;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t at_ = 0;
};

bool isHostByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

char lower(std::uint8_t byte) {
  const char c = static_cast<char>(byte);
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// An uncompressed name. Bytes that no host name has become '?', so that the text stays printable.
bool readName(Reader& in, Query& query) {
  const std::size_t start = in.position();
  for (;;) {
    const auto length = in.u8();
    if (!length || *length > kMaxLabel) return false;  // a pointer has the two upper bits set
    if (in.position() - start + *length > kMaxWireName) return false;
    if (*length == 0) return true;
    if (in.left() < *length) return false;
    if (!query.name.empty()) query.name += '.';
    for (const std::uint8_t byte : in.take(*length)) {
      const char c = lower(byte);
      if (!isHostByte(c)) query.printable = false;
      query.name += isHostByte(c) ? c : '?';
    }
  }
}

bool skipName(Reader& in) {
  for (std::size_t labels = 0; labels <= kMaxWireName; ++labels) {
    const auto length = in.u8();
    if (!length) return false;
    if (*length == 0) return true;
    if ((*length & 0xc0) == 0xc0) return in.skip(1);
    if (*length > kMaxLabel || !in.skip(*length)) return false;
  }
  return false;
}

// Finds the OPT record. False if the section cannot be read.
bool readAdditional(Reader& in, std::size_t count, Query& query, bool& badVersion) {
  if (count > kMaxAdditional) return false;
  for (; count > 0; --count) {
    if (!skipName(in)) return false;
    const auto type = in.u16();
    const auto klass = in.u16();
    const auto extendedRcode = in.u8();
    const auto version = in.u8();
    const auto flags = in.u16();
    const auto length = in.u16();
    if (!type || !klass || !extendedRcode || !version || !flags || !length) return false;
    if (!in.skip(*length)) return false;
    if (*type != kTypeOpt) continue;
    if (query.edns) return false;  // RFC 6891 §6.1.1: one at most
    query.edns = true;
    query.udpSize = std::max<std::uint16_t>(*klass, 512);
    badVersion = *version != 0;
  }
  return true;
}

ParseResult problem(Query query, std::optional<Rcode> rcode) {
  return ParseResult{std::nullopt, Problem{rcode, std::move(query)}};
}

}  // namespace

ParseResult parseQuery(std::span<const std::uint8_t> message) {
  Reader in(message);
  Query query;
  if (message.size() < kHeaderSize || message.size() > kMaxQuery) {
    return problem(std::move(query), std::nullopt);
  }
  query.id = *in.u16();
  const unsigned flags = *in.u16();
  const unsigned questions = *in.u16();
  const unsigned answers = *in.u16();
  const unsigned authorities = *in.u16();
  const unsigned additional = *in.u16();
  query.recursionDesired = (flags & 0x0100) != 0;
  if ((flags & 0x8000) != 0) return problem(std::move(query), std::nullopt);
  if ((flags & 0x7800) != 0) return problem(std::move(query), Rcode::notImp);
  if (questions != 1 || answers != 0 || authorities != 0) {
    return problem(std::move(query), Rcode::formErr);
  }
  if (!readName(in, query)) return problem(std::move(query), Rcode::formErr);
  const auto type = in.u16();
  const auto klass = in.u16();
  if (!type || !klass) return problem(std::move(query), Rcode::formErr);
  query.type = *type;
  query.klass = *klass;
  const auto question = message.subspan(kHeaderSize, in.position() - kHeaderSize);
  query.question.assign(question.begin(), question.end());
  bool badVersion = false;
  if (!readAdditional(in, additional, query, badVersion)) {
    query.edns = false;
    return problem(std::move(query), Rcode::formErr);
  }
  if (badVersion) return problem(std::move(query), Rcode::badVers);
  return ParseResult{std::move(query), {}};
}

namespace {

class Writer {
 public:
  explicit Writer(std::span<std::uint8_t> out) : out_(out) {}
  void u8(unsigned value) {
    if (at_ < out_.size()) out_[at_++] = static_cast<std::uint8_t>(value);
  }
  void u16(unsigned value) {
    u8(value >> 8 & 0xff);
    u8(value & 0xff);
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void bytes(std::span<const std::uint8_t> data) {
    for (const std::uint8_t byte : data) u8(byte);
  }
  // A name made of labels of 1 to 63 bytes.
  void name(std::string_view text) {
    for (const std::string_view label : split(text, '.')) {
      u8(static_cast<unsigned>(label.size()));
      for (const char c : label) u8(static_cast<unsigned char>(c));
    }
    u8(0);
  }
  std::size_t size() const { return at_; }

 private:
  std::span<std::uint8_t> out_;
  std::size_t at_ = 0;
};

void writeRecord(Writer& out, const Record& record) {
  out.u16(0xc00c);  // the question's name
  out.u16(record.kind == Record::Kind::address ? kTypeA : kTypePtr);
  out.u16(kClassIn);
  out.u32(record.ttl);
  if (record.kind == Record::Kind::address) {
    out.u16(4);
    out.u32(record.address.value);
  } else {
    out.u16(static_cast<unsigned>(record.name.size() + 2));
    out.name(record.name);
  }
}

}  // namespace

std::span<const std::uint8_t> buildReply(const Query& query, Rcode rcode, const Record& record,
                                         std::array<std::uint8_t, kMaxReply>& out) {
  const unsigned code = static_cast<unsigned>(rcode);
  const bool hasRecord = record.kind != Record::Kind::none;
  Writer w(out);
  w.u16(query.id);
  // QR and RA; RD as it came.
  w.u16(0x8080u | (query.recursionDesired ? 0x0100u : 0u) | (code & 0x0f));
  w.u16(query.question.empty() ? 0 : 1);
  w.u16(hasRecord ? 1 : 0);
  w.u16(0);
  w.u16(query.edns ? 1 : 0);
  w.bytes(query.question);
  if (hasRecord) writeRecord(w, record);
  if (query.edns) {
    w.u8(0);
    w.u16(kTypeOpt);
    w.u16(kMaxQuery);
    w.u8(code >> 4);
    w.u8(0);
    w.u16(0);
    w.u16(0);
  }
  return std::span<const std::uint8_t>(out).first(w.size());
}

namespace {

bool isUnder(std::string_view name, std::string_view zone) {
  if (!name.ends_with(zone)) return false;
  return name.size() == zone.size() || name[name.size() - zone.size() - 1] == '.';
}

// inet_aton() and browsers take a name whose last label is a number for an IPv4 address.
bool endsInNumber(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  const auto isDigit = [](char c) { return c >= '0' && c <= '9'; };
  if (last.starts_with("0x")) {
    last.remove_prefix(2);
    return std::all_of(last.begin(), last.end(),
                       [&](char c) { return isDigit(c) || (c >= 'a' && c <= 'f'); });
  }
  return std::all_of(last.begin(), last.end(), isDigit);
}

}  // namespace

bool isResolvable(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (const std::string_view label : split(name, '.')) {
    if (label.empty() || label.size() > kMaxLabel) return false;
    if (!std::all_of(label.begin(), label.end(), isHostByte)) return false;
  }
  for (const std::string_view zone :
       {"localhost", "local", "invalid", "home.arpa", "in-addr.arpa", "ip6.arpa"}) {
    if (isUnder(name, zone)) return false;
  }
  return !endsInNumber(name);
}

std::optional<Ipv4> reverseAddress(std::string_view name) {
  constexpr std::string_view kZone = ".in-addr.arpa";
  if (!name.ends_with(kZone)) return std::nullopt;
  const auto labels = split(name.substr(0, name.size() - kZone.size()), '.');
  if (labels.size() != 4) return std::nullopt;
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) {
    const auto octet = parseNumber<std::uint8_t>(labels[i]);
    if (!octet || (labels[i].size() > 1 && labels[i].front() == '0')) return std::nullopt;
    value = value << 8 | *octet;
  }
  return Ipv4{value};
}

}  // namespace orrery::tproxy::dns
