// A netlink socket in one namespace: requests with acknowledgement, batches, dumps.
//
// Not for two threads at once. Every request has its sequence number, and replies of another one
// are an error. NETLINK_EXT_ACK and NETLINK_GET_STRICT_CHK (Linux 4.20) are on, so the kernel says
// what it did not like and refuses what it does not know.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "netns/netlink/message.h"
#include "sandbox/base/fd.h"

namespace orrery {

struct NlCounters {
  std::uint64_t sends = 0;     // sendmsg(2)
  std::uint64_t receives = 0;  // recvmsg(2)
  std::uint64_t requests = 0;  // messages in those sends
};

class NlSocket {
 public:
  // `protocol` is NETLINK_*; `groups` a list of multicast groups to join.
  static Result<NlSocket> open(const NetnsFd& netns, int protocol,
                               const std::vector<std::uint32_t>& groups = {});

  // Sends and waits for the acknowledgement.
  Status request(NlMessage message);
  // All in one sendmsg(2), each acknowledged. The kernel carries out every one, also after a
  // failure: the first failure is returned, the later ones in its `also`.
  Status requestAll(std::vector<NlMessage> messages);
  // A dump; `each` is called for every message in order, and its first error ends the reading of
  // values (the rest is drained). A dump that the kernel marks as interrupted by a change
  // (NLM_F_DUMP_INTR) fails with EINTR after the last value: ask again.
  using Each = std::function<Status(const NlReply&)>;
  Status dump(NlMessage message, const Each& each);
  // A request for one object: `each` is called for the replies before the acknowledgement.
  Status query(NlMessage message, const Each& each);

  // One datagram of a multicast group, without waiting: an empty list if there is none. Err
  // ENOBUFS: messages were lost.
  Result<std::vector<std::byte>> receiveDatagram();

  int fd() const { return fd_.get(); }
  const NlCounters& counters() const { return counters_; }

 private:
  explicit NlSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  Status send(const std::vector<Bytes>& parts);
  Result<Bytes> receive(int flags);
  Status collectAcks(const std::vector<NlMessage>& messages, std::uint32_t first, const Each& each);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
  NlCounters counters_;
  std::vector<std::byte> buffer_;
};

}  // namespace orrery
