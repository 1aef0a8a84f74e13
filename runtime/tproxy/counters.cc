#include "runtime/tproxy/counters.h"

namespace orrery::tproxy {

const char* toString(End end) {
  switch (end) {
    case End::finished:
      return "finished";
    case End::clientReset:
      return "client_reset";
    case End::upstreamReset:
      return "upstream_reset";
    case End::idle:
      return "idle";
    case End::handshakeTimeout:
      return "handshake_timeout";
    case End::upstreamUnreachable:
      return "upstream_unreachable";
    case End::socksRejected:
      return "socks_rejected";
    case End::socksProtocol:
      return "socks_protocol";
    case End::cut:
      return "cut";
    case End::refusedPrivate:
      return "refused_private";
    case End::refusedUnknownName:
      return "refused_unknown_name";
    case End::refusedClientLimit:
      return "refused_client_limit";
    case End::noResources:
      return "no_resources";
  }
  return "?";
}

const char* toString(DnsOutcome outcome) {
  switch (outcome) {
    case DnsOutcome::answered:
      return "answered";
    case DnsOutcome::empty:
      return "empty";
    case DnsOutcome::nxdomain:
      return "nxdomain";
    case DnsOutcome::notImplemented:
      return "not_implemented";
    case DnsOutcome::malformed:
      return "malformed";
    case DnsOutcome::exhausted:
      return "exhausted";
    case DnsOutcome::limited:
      return "limited";
    case DnsOutcome::sendFailed:
      return "send_failed";
  }
  return "?";
}

}  // namespace orrery::tproxy
