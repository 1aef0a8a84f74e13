#include "netns/netlink/socket.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>

#include "netns/namespace/netns.h"

namespace orrery {
namespace {

// The kernel fills datagrams of a dump up to 32 KiB if the reader's buffer is that large
// (netlink_dump(), af_netlink.c).
constexpr std::size_t kBuffer = std::size_t{32} * 1024;
// A monitor reads late at times; the default of 208 KiB loses events of a few hundred links.
constexpr int kMonitorBuffer = 4 << 20;
// An answer to a request is there when sendmsg(2) returns, or a moment later for a dump. A socket
// that says nothing for so long is broken, and waiting for ever would hang the caller.
constexpr timeval kPatience{10, 0};

Status setOption(int fd, int option, int value, const char* name) {
  if (::setsockopt(fd, SOL_NETLINK, option, &value, sizeof value) != 0)
    return sysError(errno, "set {} on a netlink socket", name);
  return {};
}

tl::unexpected<Error> refused(const NlAck& ack, const std::string& label) {
  if (!ack.text.empty()) return sysError(ack.err, "{}: Error: {}", label, ack.text);
  if (!ack.missing.empty()) return sysError(ack.err, "{}: Error: {}", label, ack.missing);
  return sysError(ack.err, "{}", label);
}

}  // namespace

Result<NlSocket> NlSocket::open(const NetnsFd& netns, int protocol,
                                const std::vector<std::uint32_t>& groups) {
  ORRERY_TRY_ASSIGN(UniqueFd fd, socketIn(netns, AF_NETLINK, SOCK_RAW, protocol));
  ORRERY_TRY(setOption(fd.get(), NETLINK_EXT_ACK, 1, "NETLINK_EXT_ACK"));
  ORRERY_TRY(setOption(fd.get(), NETLINK_CAP_ACK, 1, "NETLINK_CAP_ACK"));
  ORRERY_TRY(setOption(fd.get(), NETLINK_GET_STRICT_CHK, 1, "NETLINK_GET_STRICT_CHK"));
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) != 0)
    return sysError(errno, "set the time limit of a netlink socket");
  if (!groups.empty())
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kMonitorBuffer, sizeof kMonitorBuffer);
  const sockaddr_nl own{.nl_family = AF_NETLINK};
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
    return sysError(errno, "bind a netlink socket");
  for (const std::uint32_t group : groups)
    ORRERY_TRY(setOption(fd.get(), NETLINK_ADD_MEMBERSHIP, static_cast<int>(group),
                         "NETLINK_ADD_MEMBERSHIP"));
  return NlSocket(std::move(fd));
}

Status NlSocket::send(const std::vector<Bytes>& parts) {
  std::vector<iovec> vectors;
  vectors.reserve(parts.size());
  for (const Bytes part : parts)
    vectors.push_back({const_cast<std::byte*>(part.data()), part.size()});
  sockaddr_nl kernel{.nl_family = AF_NETLINK};
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = vectors.data();
  message.msg_iovlen = vectors.size();
  ++counters_.sends;
  counters_.requests += parts.size();
  while (::sendmsg(fd_.get(), &message, 0) < 0) {
    if (errno != EINTR) return sysError(errno, "send to netlink");
  }
  return {};
}

Result<Bytes> NlSocket::receive(int flags) {
  if (buffer_.empty()) buffer_.resize(kBuffer);
  for (;;) {
    sockaddr_nl from{};
    iovec vector{buffer_.data(), buffer_.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    ++counters_.receives;
    const ssize_t n = ::recvmsg(fd_.get(), &message, flags);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sysError(errno, "receive from netlink");
    if (from.nl_pid != 0) continue;  // only the kernel is believed
    if ((message.msg_flags & MSG_TRUNC) != 0)
      return sysError(EMSGSIZE, "netlink message of more than {} bytes", buffer_.size());
    return Bytes(buffer_).first(static_cast<std::size_t>(n));
  }
}

// Reads until each message in [first, first + size) has its acknowledgement.
Status NlSocket::collectAcks(const std::vector<NlMessage>& messages, std::uint32_t first,
                             const Each& each) {
  std::size_t open = messages.size();
  Status outcome;
  const auto note = [&outcome](tl::unexpected<Error> failure) {
    if (outcome)
      outcome = std::move(failure);
    else
      outcome.error().also.push_back(std::move(failure).value());
  };
  while (open > 0) {
    Result<Bytes> datagram = receive(0);
    if (!datagram) return wrap(std::move(datagram).error(), "{}", messages.front().label());
    ORRERY_TRY_ASSIGN(const auto replies, splitMessages(*datagram));
    for (const NlReply& reply : replies) {
      const std::uint32_t which = reply.sequence - first;
      if (which >= messages.size()) continue;  // late answer to a request that was given up
      if (reply.type != NLMSG_ERROR) {
        if (!each || !outcome) continue;
        if (Status s = each(reply); !s) note(tl::unexpected<Error>(std::move(s).error()));
        continue;
      }
      --open;
      ORRERY_TRY_ASSIGN(const NlAck ack, parseAck(reply));
      if (ack.err != 0) note(refused(ack, messages[which].label()));
    }
  }
  return outcome;
}

Status NlSocket::request(NlMessage message) {
  return query(std::move(message), nullptr);
}

Status NlSocket::query(NlMessage message, const Each& each) {
  const std::uint32_t sequence = ++sequence_;
  ORRERY_TRY_ASSIGN(const Bytes bytes, message.seal(sequence, NLM_F_ACK));
  ORRERY_TRY(send({bytes}));
  std::vector<NlMessage> one;
  one.push_back(std::move(message));
  return collectAcks(one, sequence, each);
}

Status NlSocket::requestAll(std::vector<NlMessage> messages) {
  if (messages.empty()) return {};
  const std::uint32_t first = sequence_ + 1;
  std::vector<Bytes> parts;
  for (NlMessage& message : messages) {
    ORRERY_TRY_ASSIGN(const Bytes bytes, message.seal(++sequence_, NLM_F_ACK));
    parts.push_back(bytes);
  }
  ORRERY_TRY(send(parts));
  return collectAcks(messages, first, nullptr);
}

Status NlSocket::dump(NlMessage message, const Each& each) {
  const std::uint32_t sequence = ++sequence_;
  ORRERY_TRY_ASSIGN(const Bytes bytes, message.seal(sequence, NLM_F_DUMP));
  ORRERY_TRY(send({bytes}));
  Status outcome;
  bool interrupted = false;
  for (;;) {
    Result<Bytes> datagram = receive(0);
    if (!datagram) return wrap(std::move(datagram).error(), "{}", message.label());
    ORRERY_TRY_ASSIGN(const auto replies, splitMessages(*datagram));
    for (const NlReply& reply : replies) {
      if (reply.sequence != sequence) continue;
      if ((reply.flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (reply.type == NLMSG_ERROR || reply.type == NLMSG_DONE) {
        ORRERY_TRY_ASSIGN(const NlAck ack, parseAck(reply));
        if (!outcome) return outcome;
        if (ack.err != 0) return refused(ack, message.label());
        if (interrupted) return sysError(EINTR, "{}: changed while it was read", message.label());
        return {};
      }
      if (outcome && each) outcome = each(reply);
    }
  }
}

Result<std::vector<std::byte>> NlSocket::receiveDatagram() {
  Result<Bytes> datagram = receive(MSG_DONTWAIT);
  if (!datagram && (datagram.error().err == EAGAIN)) return std::vector<std::byte>{};
  if (!datagram) return tl::unexpected<Error>(std::move(datagram).error());
  return std::vector<std::byte>(datagram->begin(), datagram->end());
}

}  // namespace orrery
