// What strangers tell a router: a lease, an OpenVPN push and management line, Tor's progress.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "routers/egress/tunnel_facts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<Prefix4> own{Prefix4{Ipv4{0x0a010101}, 24}};
  if (const auto event = parseLeaseEvent(text); event && event->lease) {
    // What the check lets through must not touch our own subnet.
    if (checkLease(*event->lease, own) && own[0].overlaps(event->lease->address)) std::abort();
  }
  if (const auto facts = parsePushReply(text)) {
    if (checkTunnel(*facts, own) && own[0].overlaps(facts->address)) std::abort();
  }
  (void)parseManagementLine(text);
  if (const auto progress = parseTorBootstrap(text))
    if (progress->percent < 0 || progress->percent > 100) std::abort();
  return 0;
}
