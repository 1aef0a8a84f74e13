// Names and the addresses that stand for them: a bounded table, least recently used name first out.
//
// Addresses are dealt out in a cycle through the range from a random start, so that an address that
// was given up is used again only after all others: a client that still remembers it meets a
// refusal, not another name's server. A name with a live flow is pinned and never given up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "netns/addr/ip.h"

namespace orrery::tproxy {

class NameTable {
 public:
  // `start` picks the first address: any number, taken modulo the range. The range's first and last
  // address are not used.
  NameTable(Prefix4 range, std::size_t limit, std::uint32_t start);

  bool contains(Ipv4 address) const { return range_.contains(address); }
  std::size_t size() const { return byAddress_.size(); }

  // The address of a name, new if need be, and the name is the most recent. Nothing if each entry
  // is pinned.
  std::optional<Ipv4> addressOf(std::string_view name);
  // The name that an address stands for; valid until the next addressOf().
  std::optional<std::string_view> nameOf(Ipv4 address) const;

  // Pins are counted. unpin() of the last one makes the name the most recent.
  void pin(Ipv4 address);
  void unpin(Ipv4 address);

 private:
  struct Entry {
    std::string name;
    Ipv4 address;
    std::uint32_t pins = 0;
  };
  using Entries = std::list<Entry>;

  Ipv4 nextFree();

  Prefix4 range_;
  std::uint32_t usable_;  // addresses
  std::size_t limit_;
  std::uint32_t cursor_;
  Entries idle_;    // most recent first
  Entries pinned_;  // no order
  std::unordered_map<std::string_view, Entries::iterator> byName_;
  std::unordered_map<std::uint32_t, Entries::iterator> byAddress_;
};

}  // namespace orrery::tproxy
