// Keys of named sets: the model's values and the kernel's bytes.
#include <algorithm>

#include "netns/nft/vm.h"

namespace orrery::nft::vm {
namespace {

constexpr unsigned kTypeBits = 6;  // of one type in a concatenation's number (nft's datatype.h)

std::uint32_t numberOf(KeyType type) {
  switch (type) {
    case KeyType::ifName:
      return kIfName;
    case KeyType::etherAddress:
      return kEtherAddr;
    case KeyType::ipv4Address:
      return kIpv4Addr;
  }
  return 0;
}

}  // namespace

std::uint32_t wordsOf(KeyType type) {
  switch (type) {
    case KeyType::ifName:
      return 4;
    case KeyType::etherAddress:
      return 2;
    case KeyType::ipv4Address:
      return 1;
  }
  return 1;
}

namespace {
// A part of several begins at a register of its own; one alone has its own length.
std::uint32_t lengthOf(KeyType type, std::size_t parts) {
  constexpr std::uint32_t kEtherLength = 6;
  if (parts == 1 && type == KeyType::etherAddress) return kEtherLength;
  return wordsOf(type) * 4;
}
}  // namespace

std::uint32_t keyTypeOf(const NamedSet& set) {
  std::uint32_t number = 0;
  for (const KeyType type : set.key) number = number << kTypeBits | numberOf(type);
  return number;
}

std::uint32_t keyLengthOf(const NamedSet& set) {
  std::uint32_t length = 0;
  for (const KeyType type : set.key) length += lengthOf(type, set.key.size());
  return length;
}

std::optional<std::vector<KeyType>> keyOf(std::uint32_t keyType) {
  std::vector<KeyType> key;
  for (; keyType != 0; keyType >>= kTypeBits) {
    std::optional<KeyType> found;
    for (const KeyType type : {KeyType::ifName, KeyType::etherAddress, KeyType::ipv4Address})
      if (numberOf(type) == (keyType & ((1u << kTypeBits) - 1))) found = type;
    if (!found) return std::nullopt;
    key.insert(key.begin(), *found);
  }
  if (key.empty()) return std::nullopt;
  return key;
}

std::optional<std::string> packKey(const std::vector<KeyType>& key,
                                   const std::vector<KeyValue>& values) {
  if (key.size() != values.size()) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (values[i].index() != static_cast<std::size_t>(key[i])) return std::nullopt;
    std::string part;
    if (const auto* name = std::get_if<std::string>(&values[i]))
      part = name->substr(0, kMaxIfNameLength);
    if (const auto* mac = std::get_if<Mac>(&values[i]))
      part.assign(mac->bytes.begin(), mac->bytes.end());
    if (const auto* address = std::get_if<Ipv4>(&values[i]))
      for (int shift = 24; shift >= 0; shift -= 8)
        part.push_back(static_cast<char>(address->value >> shift & 0xff));
    part.resize(lengthOf(key[i], key.size()), '\0');
    bytes += part;
  }
  return bytes;
}

std::optional<std::vector<KeyValue>> unpackKey(const std::vector<KeyType>& key,
                                               const std::string& bytes) {
  std::vector<KeyValue> values;
  std::size_t at = 0;
  for (const KeyType type : key) {
    const std::size_t length = lengthOf(type, key.size());
    const std::string part = bytes.substr(std::min(at, bytes.size()), length);
    at += length;
    if (at > bytes.size()) return std::nullopt;
    Mac mac;
    Ipv4 address;
    switch (type) {
      case KeyType::ifName:
        values.emplace_back(part.substr(0, part.find('\0')));
        break;
      case KeyType::etherAddress:
        std::copy_n(part.begin(), mac.bytes.size(), mac.bytes.begin());
        values.emplace_back(mac);
        break;
      case KeyType::ipv4Address:
        for (const char c : part)
          address.value = address.value << 8 | static_cast<unsigned char>(c);
        values.emplace_back(address);
        break;
    }
  }
  if (at != bytes.size()) return std::nullopt;
  return values;
}

}  // namespace orrery::nft::vm
