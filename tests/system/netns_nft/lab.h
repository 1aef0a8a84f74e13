// Throw-away namespaces for the tests: held by descriptors alone, so that nothing is left behind.
#pragma once

#include <string>
#include <vector>

#include "netns/namespace/netns.h"
#include "netns/nft/nft.h"

namespace orrery::lab {

inline constexpr int kSoon = 2000;  // ms: for what must come
inline constexpr int kNever = 300;  // ms: for what must not; what drops it is proved by its counter

NetnsFd makeNetns();
NftSocket nftIn(const NetnsFd& netns);

// Runs a shell command inside the namespace. Returns its output (both streams) if it succeeded,
// and reports a test failure if it did not.
std::string run(const NetnsFd& netns, const std::string& command);
struct Outcome {
  int status = -1;
  std::string output;
};
Outcome tryRun(const NetnsFd& netns, const std::string& command);

// A pair of links, up: `name` in `netns`, `peerName` in `peer`.
void connect(const NetnsFd& netns, const std::string& name, const NetnsFd& peer,
             const std::string& peerName);

// --- sockets in namespaces -----------------------------------------------------------------------
UniqueFd tcpListener(const NetnsFd& netns, std::uint16_t port, bool transparent = false);
// 0 or the errno of the connection; ETIMEDOUT after `milliseconds`.
int tcpConnect(const NetnsFd& netns, const std::string& address, std::uint16_t port,
               int milliseconds, const std::string& source = "");
// A connection that stays, and the error that it is told within `milliseconds`: 0 if none is.
UniqueFd tcpConnection(const NetnsFd& netns, const std::string& address, std::uint16_t port);
int tcpError(const UniqueFd& socket, int milliseconds);
UniqueFd udpSocket(const NetnsFd& netns, const std::string& address, std::uint16_t port,
                   bool transparent = false);
void udpSend(const UniqueFd& socket, const std::string& address, std::uint16_t port,
             const std::string& text);
// The sender's address and the text, or "" after `milliseconds`.
std::string udpReceive(const UniqueFd& socket, int milliseconds);
UniqueFd connectedUdp(const NetnsFd& netns, const std::string& address, std::uint16_t port);
std::string localAddress(const UniqueFd& socket);  // "198.51.100.9:80"
// The errno that the socket holds after an ICMP error, 0 if none comes.
int udpError(const UniqueFd& socket, int milliseconds);

// --- counters ------------------------------------------------------------------------------------
// Packets counted under this name in all tables.
std::uint64_t counted(NftSocket& nft, const std::string& name);
// Waits until the count has grown beyond `before`; false after two seconds.
bool grows(NftSocket& nft, const std::string& name, std::uint64_t before);

}  // namespace orrery::lab
