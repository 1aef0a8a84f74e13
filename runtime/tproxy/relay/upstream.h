// Dialling the SOCKS5 server.
#pragma once

#include "runtime/tproxy/config.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

// A socket to dial from: non-blocking, CLOEXEC.
Result<UniqueFd> upstreamSocket(const Upstream& upstream);

enum class Dial {
  connected,
  underWay,   // completes when the descriptor becomes writable; see connectResult()
  queueFull,  // unix: the server's listen queue is full, try again in a moment
};
// Fails with connect()'s errno.
Result<Dial> dial(const Upstream& upstream, int fd);
// The outcome of a connect() that was under way.
Status connectResult(int fd);

}  // namespace orrery::tproxy
