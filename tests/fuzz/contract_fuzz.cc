// Frames as a wire brings them: any bytes are judged, described, and never taken for what they are
// not.
#include <cstdint>
#include <cstdlib>

#include "routers/contract/judge.h"

namespace {

using namespace orrery;

RouterSpec specOf(EgressSpec egress) {
  RouterSpec spec;
  spec.id = {"network0", "galaxy0"};
  spec.lan.address = {Ipv4{0x0a0101fe}, 24};
  spec.uplink = RouterUplink{"universe0", std::nullopt};
  spec.egress = std::move(egress);
  return spec;
}

Contract contractFor(EgressSpec egress) {
  ContractFacts facts;
  facts.uplink = {Ipv4{0x0a000007}, Ipv4{0x0a000001}, Prefix4{Ipv4{0x0a000001}, 24}};
  facts.tunnel = Ipv4{0x0a400009};
  return contractOf(specOf(std::move(egress)), facts, ContractState::ready);
}

// What may leave is IPv4 or ARP, from the first bytes on.
void checkAllowed(const LinkContract& link, const FrameView& frame) {
  const auto& b = frame.bytes;
  if (frame.tagged) std::abort();
  if (!link.ethernet) {
    if (b.empty() || b[0] >> 4 != 4) std::abort();
    return;
  }
  if (b.size() < 14 || b[12] != 0x08 || (b[13] != 0x00 && b[13] != 0x06)) std::abort();
  if (b[13] == 0x00 && b[14] >> 4 != 4) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Contract kContracts[] = {
      contractFor(DirectEgress{}), contractFor(TorEgress{}), contractFor([] {
        OpenVpnEgress egress;
        egress.remotes = {{Ipv4{0xc612010a}, 1194, false}, {Ipv4{0xc612010b}, 443, true}};
        return egress;
      }())};
  if (size == 0) return 0;
  const bool tagged = (data[0] & 1) != 0;
  const std::size_t longer = data[0] >> 4;  // the frame was cut by the capture
  const Way way = (data[0] & 2) != 0 ? Way::out : Way::in;
  const FrameView frame{way, {data + 1, size - 1}, size - 1 + longer, tagged};
  for (const Contract& contract : kContracts)
    for (const LinkContract& link : contract.links) {
      const Verdict verdict = judge(&link, frame);
      if (verdict.breach == Breach::none && verdict.by == nullptr) std::abort();
      if (verdict.breach == Breach::none) checkAllowed(link, frame);
      if (verdict.leak() && way == Way::in) std::abort();
      if (describeFrame(frame, link.ethernet).empty()) std::abort();
    }
  return 0;
}
