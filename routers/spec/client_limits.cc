#include "routers/spec/client_limits.h"

#include <fmt/format.h>

#include "routers/spec/values.h"

namespace orrery {
namespace {

constexpr const char* kBuffers = "proxied_buffers";
constexpr std::uint64_t kLeastBuffers = 256u << 10;  // one of tproxy's pipes

}  // namespace

ClientLimits readClientLimits(const Node& table, const std::string& title, Reporter& reporter) {
  KeyList keys{{kBuffers}};
  for (const ClientLimitField& field : kClientLimitFields) keys.keys.emplace_back(field.key);
  FieldReader fields(table, table.span, title, keys, reporter);
  ClientLimits limits;
  limits.given = true;
  for (const ClientLimitField& field : kClientLimitFields)
    if (const auto value = fields.integer(field.key, 0, field.most))
      limits.*field.value = static_cast<std::uint32_t>(*value);
  const char* wanted = "\"0K\" for no limit, or a number with a unit, from \"256K\" up: \"16M\"";
  if (const auto bytes = fields.text(kBuffers, parseMemory, wanted)) {
    limits.proxiedBuffers = *bytes;
    if (*bytes != 0 && *bytes < kLeastBuffers) {
      Diagnostic& d = reporter.error(fields.optional(kBuffers)->span,
                                     "'proxied_buffers' is too little for one connection");
      d.expected = wanted;
      d.got = describe(*fields.optional(kBuffers));
    }
  }
  return limits;
}

std::string clientLimitsText(const std::string& router, const ClientLimits& limits) {
  if (limits == ClientLimits{}) return {};
  std::string out = fmt::format("\n[router.{}.client_limits]\n", router);
  for (const ClientLimitField& field : kClientLimitFields)
    out += fmt::format("{} = {}\n", field.key, limits.*field.value);
  return out + fmt::format("{} = \"{}\"\n", kBuffers, memoryText(limits.proxiedBuffers));
}

}  // namespace orrery
