#include "netns/netlink/message.h"

#include <arpa/inet.h>
#include <linux/netlink.h>

namespace orrery {
namespace {

constexpr std::size_t align4(std::size_t n) {
  return (n + 3) & ~std::size_t{3};
}
constexpr std::size_t kHeader = sizeof(nlmsghdr);

}  // namespace

NlMessage::NlMessage(std::string label, std::uint16_t type, std::uint16_t flags, const void* header,
                     std::size_t size)
    : label_(std::move(label)) {
  nlmsghdr head{};
  head.nlmsg_type = type;
  head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  putRaw(&head, sizeof head);
  putRaw(header, size);
}

NlMessage& NlMessage::put(std::uint16_t type, const void* data, std::size_t size) {
  if (size > UINT16_MAX - sizeof(nlattr)) {
    oversize_ = true;
    return *this;
  }
  nlattr attribute{static_cast<std::uint16_t>(sizeof(nlattr) + size), type};
  putRaw(&attribute, sizeof attribute);
  return putRaw(data, size);
}

NlMessage& NlMessage::putRaw(const void* data, std::size_t size) {
  const std::size_t at = bytes_.size();
  bytes_.resize(at + align4(size));
  if (size != 0) std::memcpy(bytes_.data() + at, data, size);
  return *this;
}

NlMessage& NlMessage::putU8(std::uint16_t type, std::uint8_t value) {
  return put(type, &value, sizeof value);
}
NlMessage& NlMessage::putU16(std::uint16_t type, std::uint16_t value) {
  return put(type, &value, sizeof value);
}
NlMessage& NlMessage::putU32(std::uint16_t type, std::uint32_t value) {
  return put(type, &value, sizeof value);
}
NlMessage& NlMessage::putString(std::uint16_t type, std::string_view text) {
  const std::string zeroed(text);
  return put(type, zeroed.c_str(), zeroed.size() + 1);
}
NlMessage& NlMessage::putIpv4(std::uint16_t type, Ipv4 address) {
  return putU32(type, htonl(address.value));
}
NlMessage& NlMessage::putMac(std::uint16_t type, const Mac& mac) {
  return put(type, mac.bytes.data(), mac.bytes.size());
}
NlMessage& NlMessage::putFlag(std::uint16_t type) {
  return put(type, nullptr, 0);
}

NlMessage& NlMessage::beginNest(std::uint16_t type, bool flagged) {
  nests_.push_back(bytes_.size());
  return put(static_cast<std::uint16_t>(type | (flagged ? NLA_F_NESTED : 0)), nullptr, 0);
}

NlMessage& NlMessage::endNest() {
  const std::size_t start = nests_.back();
  nests_.pop_back();
  const std::size_t size = bytes_.size() - start;
  if (size > UINT16_MAX) oversize_ = true;
  const auto length = static_cast<std::uint16_t>(size);
  std::memcpy(bytes_.data() + start, &length, sizeof length);  // nlattr::nla_len comes first
  return *this;
}

Result<Bytes> NlMessage::seal(std::uint32_t sequence, std::uint16_t extraFlags) {
  if (oversize_ || bytes_.size() > UINT32_MAX)
    return sysError(EMSGSIZE, "{}: too much for one netlink message", label_);
  nlmsghdr head;
  std::memcpy(&head, bytes_.data(), sizeof head);
  head.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
  head.nlmsg_seq = sequence;
  head.nlmsg_flags = static_cast<std::uint16_t>(head.nlmsg_flags | extraFlags);
  std::memcpy(bytes_.data(), &head, sizeof head);
  return Bytes(bytes_);
}

// --- reading
// --------------------------------------------------------------------------------------

std::optional<std::string> readString(Bytes bytes) {
  std::string text(bytes.size(), '\0');
  if (!bytes.empty()) std::memcpy(text.data(), bytes.data(), bytes.size());
  if (const auto zero = text.find('\0'); zero != std::string::npos) text.resize(zero);
  return text;
}

std::optional<Ipv4> readIpv4(Bytes bytes) {
  if (bytes.size() != 4) return std::nullopt;
  return Ipv4{ntohl(*readValue<std::uint32_t>(bytes))};
}

std::optional<Mac> readMac(Bytes bytes) {
  Mac mac;
  if (bytes.size() != mac.bytes.size()) return std::nullopt;
  std::memcpy(mac.bytes.data(), bytes.data(), bytes.size());
  return mac;
}

Bytes afterHeader(Bytes payload, std::size_t size) {
  size = align4(size);
  return payload.size() < size ? Bytes{} : payload.subspan(size);
}

Attributes::Attributes(Bytes stream) {
  while (stream.size() >= sizeof(nlattr)) {
    const auto head = *readValue<nlattr>(stream);
    if (head.nla_len < sizeof(nlattr) || head.nla_len > stream.size()) {
      wellFormed_ = false;
      return;
    }
    all_.push_back({static_cast<std::uint16_t>(head.nla_type & NLA_TYPE_MASK),
                    stream.subspan(sizeof(nlattr), head.nla_len - sizeof(nlattr))});
    const std::size_t step = align4(head.nla_len);
    stream = step < stream.size() ? stream.subspan(step) : Bytes{};
  }
  if (!stream.empty()) wellFormed_ = false;
}

std::optional<Bytes> Attributes::find(std::uint16_t type) const {
  for (auto it = all_.rbegin(); it != all_.rend(); ++it)
    if (it->type == type) return it->value;
  return std::nullopt;
}
std::optional<std::string> Attributes::string(std::uint16_t type) const {
  const auto bytes = find(type);
  return bytes ? readString(*bytes) : std::nullopt;
}
std::optional<Ipv4> Attributes::ipv4(std::uint16_t type) const {
  const auto bytes = find(type);
  return bytes ? readIpv4(*bytes) : std::nullopt;
}
std::optional<Mac> Attributes::mac(std::uint16_t type) const {
  const auto bytes = find(type);
  return bytes ? readMac(*bytes) : std::nullopt;
}
Attributes Attributes::nested(std::uint16_t type) const {
  const auto bytes = find(type);
  return bytes ? Attributes(*bytes) : Attributes();
}

Result<std::vector<NlReply>> splitMessages(Bytes datagram) {
  std::vector<NlReply> out;
  while (!datagram.empty()) {
    const auto head = readValue<nlmsghdr>(datagram);
    if (!head || head->nlmsg_len < kHeader || head->nlmsg_len > datagram.size())
      return sysError(EBADMSG, "netlink message with a wrong length");
    out.push_back({head->nlmsg_type, head->nlmsg_flags, head->nlmsg_seq, head->nlmsg_pid,
                   datagram.subspan(kHeader, head->nlmsg_len - kHeader)});
    const std::size_t step = align4(head->nlmsg_len);
    datagram = step < datagram.size() ? datagram.subspan(step) : Bytes{};
  }
  return out;
}

Result<NlAck> parseAck(const NlReply& reply) {
  const auto code = readValue<std::int32_t>(reply.payload);
  if (!code || *code == INT32_MIN) return sysError(EBADMSG, "netlink acknowledgement cut short");
  NlAck ack;
  ack.err = *code < 0 ? -*code : 0;
  if ((reply.flags & NLM_F_ACK_TLVS) == 0) return ack;
  std::size_t skip = sizeof(std::int32_t);
  if (reply.type == NLMSG_ERROR) {
    // The request's header comes back, and the whole request unless it is capped.
    const auto request = readValue<nlmsghdr>(reply.payload.subspan(skip));
    if (!request) return ack;
    skip += (reply.flags & NLM_F_CAPPED) != 0 ? kHeader : align4(request->nlmsg_len);
  }
  if (skip > reply.payload.size()) return ack;
  const Attributes attributes(reply.payload.subspan(skip));
  ack.text = attributes.string(NLMSGERR_ATTR_MSG).value_or("");
  if (const auto type = attributes.value<std::uint32_t>(NLMSGERR_ATTR_MISS_TYPE))
    ack.missing = fmt::format("attribute {} is missing", *type);
  return ack;
}

}  // namespace orrery
