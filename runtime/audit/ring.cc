#include "runtime/audit/ring.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstring>

namespace orrery::audit {
namespace {

constexpr std::size_t kSlots = kRingBytes / kSlot;

template <class T>
Status setPacketOption(int fd, int option, const T& value, const char* what) {
  if (::setsockopt(fd, SOL_PACKET, option, &value, sizeof value) != 0)
    return sysError(errno, "packet socket: {}", what);
  return {};
}

}  // namespace

Result<UniqueFd> openRing(const IfName& link) {
  // Protocol 0: nothing is seen before bind(2) names the link.
  UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd) return sysError(errno, "open a packet socket");
  ORRERY_TRY(setPacketOption(fd.get(), PACKET_VERSION, int{TPACKET_V2}, "version"));
  tpacket_req request{};
  request.tp_block_size = kBlock;
  request.tp_block_nr = kRingBytes / kBlock;
  request.tp_frame_size = kSlot;
  request.tp_frame_nr = kSlots;
  ORRERY_TRY(setPacketOption(fd.get(), PACKET_RX_RING, request, "ring"));
  const unsigned index = ::if_nametoindex(link.str().c_str());
  if (index == 0) return sysError(errno, "link '{}'", link.str());
  packet_mreq all{};
  all.mr_ifindex = static_cast<int>(index);
  all.mr_type = PACKET_MR_PROMISC;
  ORRERY_TRY(setPacketOption(fd.get(), PACKET_ADD_MEMBERSHIP, all, "all frames"));
  sockaddr_ll at{};
  at.sll_family = AF_PACKET;
  at.sll_protocol = htons(ETH_P_ALL);
  at.sll_ifindex = static_cast<int>(index);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
    return sysError(errno, "watch link '{}'", link.str());
  return fd;
}

Result<PacketRing> PacketRing::adopt(UniqueFd socket) {
  void* memory = ::mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, socket.get(), 0);
  if (memory == MAP_FAILED) return sysError(errno, "map a packet ring");
  return PacketRing(std::move(socket), static_cast<std::uint8_t*>(memory));
}

PacketRing::PacketRing(PacketRing&& other) noexcept
    : socket_(std::move(other.socket_)),
      memory_(std::exchange(other.memory_, nullptr)),
      at_(other.at_),
      holding_(other.holding_) {}

PacketRing::~PacketRing() {
  if (memory_ != nullptr) ::munmap(memory_, kRingBytes);
}

void PacketRing::giveBack() {
  if (!holding_) return;
  auto* header = reinterpret_cast<tpacket2_hdr*>(memory_ + at_ * kSlot);
  std::atomic_ref<std::uint32_t>(header->tp_status)
      .store(TP_STATUS_KERNEL, std::memory_order_release);
  at_ = (at_ + 1) % kSlots;
  holding_ = false;
}

bool PacketRing::next(RingFrame& frame) {
  giveBack();
  std::uint8_t* slot = memory_ + at_ * kSlot;
  auto* header = reinterpret_cast<tpacket2_hdr*>(slot);
  const std::uint32_t status =
      std::atomic_ref<std::uint32_t>(header->tp_status).load(std::memory_order_acquire);
  if ((status & TP_STATUS_USER) == 0) return false;
  holding_ = true;
  sockaddr_ll from{};
  std::memcpy(&from, slot + TPACKET_ALIGN(sizeof(tpacket2_hdr)), sizeof from);
  const std::size_t begin = std::min<std::size_t>(header->tp_mac, kSlot);
  frame.bytes = {slot + begin, std::min<std::size_t>(header->tp_snaplen, kSlot - begin)};
  frame.length = header->tp_len;
  frame.outgoing = from.sll_pkttype == PACKET_OUTGOING;
  frame.tagged = (status & TP_STATUS_VLAN_VALID) != 0;
  frame.time = static_cast<std::int64_t>(header->tp_sec) * 1'000'000'000 + header->tp_nsec;
  return true;
}

void PacketRing::clearError() const {
  int error = 0;
  socklen_t size = sizeof error;
  (void)::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
}

Result<std::uint32_t> PacketRing::lost() const {
  tpacket_stats stats{};
  socklen_t size = sizeof stats;
  if (::getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) != 0)
    return sysError(errno, "count lost frames");
  return stats.tp_drops;
}

}  // namespace orrery::audit
