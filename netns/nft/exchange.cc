#include "netns/nft/exchange.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace orrery::nft {
namespace {

constexpr std::size_t kDefaultSendBuffer = std::size_t{128} * 1024;  // wmem_default is 208 KiB
constexpr std::size_t kReceiveBytes = std::size_t{64} * 1024;  // a dump message is at most 32 KiB

std::uint16_t nfType(std::uint16_t type) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
}

nlmsghdr* header(char* at, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
                 std::uint8_t family, std::uint16_t resource) {
  nlmsghdr* message = mnl_nlmsg_put_header(at);
  message->nlmsg_type = type;
  message->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  message->nlmsg_seq = sequence;
  auto* nf = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  nf->nfgen_family = family;
  nf->version = NFNETLINK_V0;
  nf->res_id = htons(resource);
  return message;
}

Status sendAll(const NftSocket& socket, const char* data, std::size_t size) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  iovec part{const_cast<char*>(data), size};  // NOLINT: sendmsg only reads
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t sent = 0;
  do sent = ::sendmsg(socket.fd(), &message, 0);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return sysError(errno, "send {} bytes to nf_tables", size);
  return {};
}

// One datagram of the kernel's. 0 bytes: nothing there (with MSG_DONTWAIT).
Result<std::size_t> receive(const NftSocket& socket, std::vector<char>& buffer, int flags) {
  sockaddr_nl from{};
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t got = 0;
  do got = ::recvmsg(socket.fd(), &message, flags);
  while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return 0;
  if (got < 0) return sysError(errno, "receive from nf_tables");
  if ((message.msg_flags & MSG_TRUNC) != 0) return error("an answer of nf_tables was cut");
  if (from.nl_pid != 0) return error("a netlink message that is not the kernel's");
  return static_cast<std::size_t>(got);
}

int keepText(const nlattr* attribute, void* data) {
  if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
      mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
    *static_cast<std::string*>(data) = mnl_attr_get_str(attribute);
  return MNL_CB_OK;
}

// The errno of an NLMSG_ERROR (0: acknowledged) and the kernel's words, if any.
int readError(const nlmsghdr* message, std::string& text) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(nlmsgerr)) return EBADMSG;
  const auto* failure = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
    std::size_t offset = sizeof(nlmsgerr);
    if ((message->nlmsg_flags & NLM_F_CAPPED) == 0 && failure->msg.nlmsg_len >= NLMSG_HDRLEN)
      offset += MNL_ALIGN(failure->msg.nlmsg_len) - NLMSG_HDRLEN;
    if (offset <= mnl_nlmsg_get_payload_len(message))
      (void)mnl_attr_parse(message, static_cast<unsigned>(offset), keepText, &text);
  }
  return -failure->error;
}

Error failureOf(const std::string& label, int err, const std::string& text) {
  return text.empty() ? sysError(err, "{}", label).value()
                      : sysError(err, "{}: {}", label, text).value();
}

}  // namespace

Batch::Batch(NftSocket& socket, std::optional<std::uint32_t> generation)
    : socket_(socket), buffer_(2 * kRoom) {
  beginSequence_ = socket_.nextSequence();
  nlmsghdr* begin = header(buffer_.data(), NFNL_MSG_BATCH_BEGIN, 0, beginSequence_, AF_UNSPEC,
                           NFNL_SUBSYS_NFTABLES);
  if (generation) mnl_attr_put_u32(begin, NFNL_BATCH_GENID, htonl(*generation));
  messages_ = 1;
}

void Batch::advance() {
  used_ = last_ + reinterpret_cast<const nlmsghdr*>(buffer_.data() + last_)->nlmsg_len;
  last_ = used_ = MNL_ALIGN(used_);
  if (buffer_.size() - used_ < kRoom) buffer_.resize(2 * buffer_.size());
}

nlmsghdr* Batch::add(std::string label, std::uint16_t type, std::uint8_t family,
                     std::uint16_t flags) {
  advance();
  ++messages_;
  labels_.emplace_back(socket_.nextSequence(), std::move(label));
  return header(buffer_.data() + last_, nfType(type), flags, labels_.back().first, family, 0);
}

std::string Batch::labelOf(std::uint32_t sequence) const {
  for (const auto& [number, label] : labels_)
    if (number == sequence) return label;
  return "commit";
}

Status Batch::commit() {
  if (labels_.empty()) return {};
  const std::uint32_t lastSequence = labels_.back().first;
  reinterpret_cast<nlmsghdr*>(buffer_.data() + last_)->nlmsg_flags |= NLM_F_ACK;
  advance();
  header(buffer_.data() + last_, NFNL_MSG_BATCH_END, 0, socket_.nextSequence(), AF_UNSPEC,
         NFNL_SUBSYS_NFTABLES);
  advance();
  ++messages_;
  socket_.setCost({socket_.cost().sends + 1, socket_.cost().messages + messages_,
                   socket_.cost().bytes + used_});
  if (used_ > kDefaultSendBuffer) {  // FORCE needs the first user namespace
    const int size = static_cast<int>(2 * used_);
    if (::setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
      (void)::setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
  ORRERY_TRY(sendAll(socket_, buffer_.data(), used_));
  return readReplies(lastSequence);
}

Status Batch::readReplies(std::uint32_t lastSequence) {
  bool acknowledged = false;
  std::vector<Error> failures;
  std::vector<char> buffer(kReceiveBytes);
  for (;;) {
    auto got = receive(socket_, buffer, MSG_DONTWAIT);
    if (!got && !failures.empty()) break;  // ENOBUFS behind so many failures
    if (!got) return tl::unexpected<Error>(std::move(got).error());
    if (*got == 0) break;
    int left = static_cast<int>(*got);
    for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      if (m->nlmsg_type != NLMSG_ERROR) continue;
      std::string text;
      const int err = readError(m, text);
      if (err != 0) failures.push_back(failureOf(labelOf(m->nlmsg_seq), err, text));
      if (err == 0 && m->nlmsg_seq == lastSequence) acknowledged = true;
    }
  }
  if (failures.empty() && acknowledged) return {};
  if (failures.empty()) return error("nf_tables did not acknowledge the ruleset");
  Error first = std::move(failures.front());
  first.also.assign(std::make_move_iterator(failures.begin() + 1),
                    std::make_move_iterator(failures.end()));
  return tl::unexpected<Error>(std::move(first));
}

namespace {

int keepGeneration(const nlattr* attribute, void* context) {
  if (mnl_attr_get_type(attribute) == NFTA_GEN_ID &&
      mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
    *static_cast<std::uint32_t*>(context) = ntohl(mnl_attr_get_u32(attribute));
  return MNL_CB_OK;
}

}  // namespace

Result<std::uint32_t> generation(NftSocket& socket) {
  std::uint32_t id = 0;
  ORRERY_TRY(ask(socket, NFT_MSG_GETGEN, AF_UNSPEC, false, {}, [&](const nlmsghdr* message) {
    (void)mnl_attr_parse(message, sizeof(nfgenmsg), keepGeneration, &id);
  }));
  return id;
}

Status loadMatch(NftSocket& socket, const char* name, std::uint32_t revision) {
  constexpr std::uint32_t kMatch = 0;  // NFTA_COMPAT_TYPE; 1: a target
  std::vector<char> buffer(kReceiveBytes);
  const std::uint32_t sequence = socket.nextSequence();
  constexpr auto kType = static_cast<std::uint16_t>(NFNL_SUBSYS_NFT_COMPAT << 8 |
                                                    NFNL_MSG_COMPAT_GET);
  nlmsghdr* request = header(buffer.data(), kType, NLM_F_ACK, sequence, AF_INET, 0);
  mnl_attr_put_strz(request, NFTA_COMPAT_NAME, name);
  mnl_attr_put_u32(request, NFTA_COMPAT_REV, htonl(revision));
  mnl_attr_put_u32(request, NFTA_COMPAT_TYPE, htonl(kMatch));
  ORRERY_TRY(sendAll(socket, buffer.data(), request->nlmsg_len));
  for (;;) {  // until the acknowledgement
    ORRERY_TRY_ASSIGN(const std::size_t got, receive(socket, buffer, 0));
    int left = static_cast<int>(got);
    for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left))
      if (m->nlmsg_seq == sequence && m->nlmsg_type == NLMSG_ERROR) return {};
  }
}

Result<bool> ask(NftSocket& socket, std::uint16_t type, std::uint8_t family, bool dump,
                 const std::function<void(nlmsghdr*)>& fill,
                 const std::function<void(const nlmsghdr*)>& each) {
  std::vector<char> buffer(kReceiveBytes);
  const std::uint32_t sequence = socket.nextSequence();
  nlmsghdr* request =
      header(buffer.data(), nfType(type), dump ? NLM_F_DUMP : NLM_F_ACK, sequence, family, 0);
  if (fill) fill(request);
  ORRERY_TRY(sendAll(socket, buffer.data(), request->nlmsg_len));
  bool interrupted = false;
  for (;;) {
    ORRERY_TRY_ASSIGN(const std::size_t got, receive(socket, buffer, 0));
    int left = static_cast<int>(got);
    for (const auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      if (m->nlmsg_seq != sequence) continue;
      interrupted = interrupted || (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (m->nlmsg_type == NLMSG_DONE) return interrupted;
      if (m->nlmsg_type == NLMSG_ERROR) {
        std::string text;
        const int err = readError(m, text);
        if (err == 0) return interrupted;
        return tl::unexpected<Error>(failureOf("read the ruleset", err, text));
      }
      if (m->nlmsg_type >= NLMSG_MIN_TYPE) each(m);
    }
  }
}

}  // namespace orrery::nft
