// Netlink messages as bytes: a builder, and readers that trust nothing they read.
//
// Integers are in host byte order as rtnetlink wants them; addresses in network byte order by
// putIpv4() and readIpv4(). Layout: netlink(7), rtnetlink(7), linux/netlink.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "netns/addr/ip.h"
#include "sandbox/base/result.h"

namespace orrery {

using Bytes = std::span<const std::byte>;

// One request. The label names it in errors: "add address 10.0.0.1/24 to 'br0'".
class NlMessage {
 public:
  // `flags` are NLM_F_*; NLM_F_REQUEST is added. `header` is the family header that follows
  // nlmsghdr (ifinfomsg, rtmsg, genlmsghdr, ...).
  template <class Header>
  NlMessage(std::string label, std::uint16_t type, std::uint16_t flags, const Header& header)
      : NlMessage(std::move(label), type, flags, &header, sizeof header) {
    static_assert(std::is_trivially_copyable_v<Header>);
  }

  NlMessage& put(std::uint16_t type, const void* data, std::size_t size);
  NlMessage& putU8(std::uint16_t type, std::uint8_t value);
  NlMessage& putU16(std::uint16_t type, std::uint16_t value);
  NlMessage& putU32(std::uint16_t type, std::uint32_t value);
  NlMessage& putString(std::uint16_t type, std::string_view text);  // zero-terminated
  NlMessage& putIpv4(std::uint16_t type, Ipv4 address);             // network byte order
  NlMessage& putMac(std::uint16_t type, const Mac& mac);
  NlMessage& putFlag(std::uint16_t type);
  // Raw bytes inside a nest, padded to 4: the ifinfomsg of VETH_INFO_PEER.
  NlMessage& putRaw(const void* data, std::size_t size);
  // Everything put until the matching endNest() is inside the attribute. `flagged` adds
  // NLA_F_NESTED, which strict families (genetlink) demand.
  NlMessage& beginNest(std::uint16_t type, bool flagged = false);
  NlMessage& endNest();

  const std::string& label() const { return label_; }
  // Finishes the lengths and stamps the sequence number. Err EMSGSIZE if an attribute was longer
  // than its 16-bit length can say.
  Result<Bytes> seal(std::uint32_t sequence, std::uint16_t extraFlags = 0);

 private:
  NlMessage(std::string label, std::uint16_t type, std::uint16_t flags, const void* header,
            std::size_t size);

  std::string label_;
  std::vector<std::byte> bytes_;
  std::vector<std::size_t> nests_;
  bool oversize_ = false;
};

// --- reading
// --------------------------------------------------------------------------------------

// Copies a T from the front; nothing if there are too few bytes.
template <class T>
std::optional<T> readValue(Bytes bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value{};
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}
std::optional<std::string> readString(Bytes bytes);  // up to a zero byte or the end
std::optional<Ipv4> readIpv4(Bytes bytes);           // network byte order, exactly 4 bytes
std::optional<Mac> readMac(Bytes bytes);             // exactly 6 bytes

// The bytes after a family header of `size`, aligned to 4.
Bytes afterHeader(Bytes payload, std::size_t size);

struct NlAttribute {
  std::uint16_t type = 0;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
  Bytes value;
};

// The attributes of a stream, in order. Reading ends at the first one whose length does not fit;
// wellFormed() tells. Holds views: the bytes must live on.
class Attributes {
 public:
  Attributes() = default;
  explicit Attributes(Bytes stream);

  std::optional<Bytes> find(std::uint16_t type) const;  // the last one of the type
  template <class T>
  std::optional<T> value(std::uint16_t type) const {
    const auto bytes = find(type);
    return bytes ? readValue<T>(*bytes) : std::nullopt;
  }
  std::optional<std::string> string(std::uint16_t type) const;
  std::optional<Ipv4> ipv4(std::uint16_t type) const;
  std::optional<Mac> mac(std::uint16_t type) const;
  Attributes nested(std::uint16_t type) const;  // empty if absent
  const std::vector<NlAttribute>& all() const& { return all_; }
  void all() const&& = delete;  // a loop over a temporary's would dangle
  bool wellFormed() const { return wellFormed_; }

 private:
  std::vector<NlAttribute> all_;
  bool wellFormed_ = true;
};

struct NlReply {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port = 0;
  Bytes payload;  // after nlmsghdr
};
// The messages of one datagram. Err EBADMSG if a length does not fit.
Result<std::vector<NlReply>> splitMessages(Bytes datagram);

// What NLMSG_ERROR (and an NLMSG_DONE that carries an errno) says.
struct NlAck {
  int err = 0;          // positive errno, 0: done
  std::string text;     // the extended ack's message, often empty (NLMSGERR_ATTR_MSG)
  std::string missing;  // "attribute 3 is missing", from NLMSGERR_ATTR_MISS_TYPE
};
Result<NlAck> parseAck(const NlReply& reply);

}  // namespace orrery
