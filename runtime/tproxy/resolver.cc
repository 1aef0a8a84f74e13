#include "runtime/tproxy/resolver.h"

#include <algorithm>

namespace orrery::tproxy {
namespace {

struct Answer {
  dns::Rcode rcode = dns::Rcode::noError;
  dns::Record record;
  DnsOutcome outcome = DnsOutcome::empty;
};

Answer nxdomain() {
  return {dns::Rcode::nxDomain, {}, DnsOutcome::nxdomain};
}

Answer answerPtr(const dns::Query& query, const NameTable& names) {
  const auto address = dns::reverseAddress(query.name);
  const auto name = address ? names.nameOf(*address) : std::nullopt;
  if (!name) return nxdomain();
  return {dns::Rcode::noError,
          {.kind = dns::Record::Kind::name, .name = *name, .ttl = kDnsTtl},
          DnsOutcome::answered};
}

Answer answerA(const dns::Query& query, NameTable& names) {
  const auto address = names.addressOf(query.name);
  if (!address) return {dns::Rcode::servFail, {}, DnsOutcome::exhausted};
  return {dns::Rcode::noError,
          {.kind = dns::Record::Kind::address, .address = *address, .ttl = kDnsTtl},
          DnsOutcome::answered};
}

Answer decide(const dns::Query& query, NameTable& names) {
  const Answer notImplemented{dns::Rcode::notImp, {}, DnsOutcome::notImplemented};
  if (query.klass != dns::kClassIn) return notImplemented;
  switch (query.type) {
    case dns::kTypePtr:
      return answerPtr(query, names);
    case dns::kTypeA:
    case dns::kTypeAaaa:
    case dns::kTypeHttps:
    case dns::kTypeSvcb:
      // The root exists and has no address.
      if (query.name.empty()) return {};
      if (!query.printable || !dns::isResolvable(query.name)) return nxdomain();
      return query.type == dns::kTypeA ? answerA(query, names) : Answer{};
    default:
      return notImplemented;
  }
}

}  // namespace

std::span<const std::uint8_t> answerQuery(std::span<const std::uint8_t> message, NameTable& names,
                                          Counters& counters,
                                          std::array<std::uint8_t, dns::kMaxReply>& out) {
  ++counters.dnsQueries;
  const dns::ParseResult parsed = dns::parseQuery(message);
  if (!parsed.query) {
    const auto rcode = parsed.problem.rcode;
    counters.count(rcode == dns::Rcode::notImp ? DnsOutcome::notImplemented
                                               : DnsOutcome::malformed);
    if (!rcode) return {};
    return dns::buildReply(parsed.problem.query, *rcode, {}, out);
  }
  const Answer answer = decide(*parsed.query, names);
  counters.count(answer.outcome);
  return dns::buildReply(*parsed.query, answer.rcode, answer.record, out);
}

std::span<const std::uint8_t> refuseQuery(std::span<const std::uint8_t> message, Counters& counters,
                                          std::array<std::uint8_t, dns::kMaxReply>& out) {
  ++counters.dnsQueries;
  counters.count(DnsOutcome::limited);
  const dns::ParseResult parsed = dns::parseQuery(message);
  if (!parsed.query && !parsed.problem.rcode) return {};
  const dns::Query& query = parsed.query ? *parsed.query : parsed.problem.query;
  return dns::buildReply(query, dns::Rcode::refused, {}, out);
}

RateLimiter::RateLimiter(std::uint32_t perSecond, std::uint32_t burst)
    : perSecond_(perSecond), full_(std::int64_t{burst} * 1000) {
  buckets_.fill(Bucket{full_, 0});
}

bool RateLimiter::allow(Ipv4 client, std::int64_t nowMilliseconds) {
  Bucket& bucket = buckets_[client.value % buckets_.size()];
  const std::int64_t elapsed = std::max<std::int64_t>(nowMilliseconds - bucket.updated, 0);
  // A long pause must not overflow: an hour fills any bucket.
  const std::int64_t gained = std::min<std::int64_t>(elapsed, 3600 * 1000) * perSecond_;
  bucket.milliTokens = std::min(full_, bucket.milliTokens + gained);
  bucket.updated = nowMilliseconds;
  if (bucket.milliTokens < 1000) return false;
  bucket.milliTokens -= 1000;
  return true;
}

}  // namespace orrery::tproxy
