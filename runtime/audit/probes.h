// What a client could try: the active half of `routerctl verify`. Pure but for sendFrames().
//
// Every packet carries its probe's mark (audit.h) where its protocol has room, and a small TTL: it
// passes one router and dies at the next, so that nothing of it reaches strangers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "netns/addr/ip.h"
#include "routers/contract/contract.h"
#include "routers/contract/frame_builder.h"
#include "routers/spec/router_spec.h"
#include "sandbox/base/fd.h"

namespace orrery::audit {

struct ProbeGround {
  Mac client;    // of the throw-away client
  Ipv4 address;  // its address
  Mac router;    // of the router's bridge
  LanSpec lan;
  UplinkFacts uplink;             // of the router
  std::vector<Endpoint> servers;  // its tunnel's or proxy's
  std::optional<Ipv4> tunnel;     // its address in the tunnel
};

struct Probe {
  std::string topic;  // "DNS elsewhere": a row of the table
  std::string what;   // "UDP to 9.9.9.9:53"
  std::vector<frame::Bytes> frames;
};

// Numbered by their place; fewer than kMaxProbes.
std::vector<Probe> probesFor(const ProbeGround& ground, const std::string& session);

std::vector<Endpoint> serversOf(const EgressSpec& egress);

// Raw frames by a link of that namespace; needs CAP_NET_RAW over it.
Status sendFrames(const NetnsFd& netns, const IfName& link, const std::vector<Probe>& probes);
// One marker by each of `rounds`, after the other: numbers first, first + 1, …
Status sendMarker(const NetnsFd& netns, const IfName& link, const std::string& session,
                  std::uint8_t number);

}  // namespace orrery::audit
