// A packet socket with a ring on one link: every frame, in both directions, with nothing lost
// unnoticed (packet(7), TPACKET_V2: a frame is visible at once, where V3 hands over blocks late).
//
// The socket is made by who has CAP_NET_RAW over the namespace, and may then be handed to a process
// that has nothing: mapping and reading need no privilege. It sees from the moment that open()
// returns. A frame that the kernel had no room for is counted (`lost`): whoever judges frames must
// then say "cannot say", never "clean".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "netns/addr/ip.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::audit {

inline constexpr std::size_t kSlot = 256;       // bytes for one frame with its headers
inline constexpr std::size_t kSnap = 160;       // bytes of a frame that are surely kept
inline constexpr std::size_t kBlock = 1 << 16;  // bytes, a multiple of the page size
inline constexpr std::size_t kRingBytes = std::size_t{4} << 20;

struct RingFrame {
  std::span<const std::uint8_t> bytes;  // valid until the next call; may be cut
  std::size_t length = 0;               // on the wire
  bool outgoing = false;                // sent by this end of the link
  bool tagged = false;
  std::int64_t time = 0;  // ns since 1970
};

class PacketRing {
 public:
  PacketRing(PacketRing&& other) noexcept;
  PacketRing& operator=(PacketRing&&) = delete;
  ~PacketRing();

  // Maps the ring of a socket that openRing() made.
  static Result<PacketRing> adopt(UniqueFd socket);

  int fd() const { return socket_.get(); }
  // The next frame that has come; false if none has. The one before goes back to the kernel.
  bool next(RingFrame& frame);
  // A link that went away or down wakes poll(2) with POLLERR until this is called.
  void clearError() const;
  // Frames that the kernel could not keep, since it was asked last.
  Result<std::uint32_t> lost() const;

 private:
  PacketRing(UniqueFd socket, std::uint8_t* memory) : socket_(std::move(socket)), memory_(memory) {}
  void giveBack();

  UniqueFd socket_;
  std::uint8_t* memory_ = nullptr;
  std::size_t at_ = 0;
  bool holding_ = false;
};

// In the namespace of the calling thread (netns/namespace: inNetns). Needs CAP_NET_RAW over it.
Result<UniqueFd> openRing(const IfName& link);

}  // namespace orrery::audit
