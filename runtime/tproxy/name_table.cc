#include "runtime/tproxy/name_table.h"

#include <algorithm>

namespace orrery::tproxy {
namespace {

std::uint32_t usableAddresses(const Prefix4& range) {
  const std::uint32_t all = range.broadcast().value - range.network().value;
  return all > 1 ? all - 1 : 0;
}

}  // namespace

NameTable::NameTable(Prefix4 range, std::size_t limit, std::uint32_t start)
    : range_(range),
      usable_(usableAddresses(range)),
      limit_(std::min<std::size_t>(limit, usable_)),
      cursor_(usable_ == 0 ? 0 : start % usable_) {}

Ipv4 NameTable::nextFree() {
  for (;;) {
    const Ipv4 address{range_.network().value + 1 + cursor_};
    cursor_ = (cursor_ + 1) % usable_;
    if (!byAddress_.contains(address.value)) return address;
  }
}

std::optional<Ipv4> NameTable::addressOf(std::string_view name) {
  if (const auto found = byName_.find(name); found != byName_.end()) {
    const auto entry = found->second;
    if (entry->pins == 0) idle_.splice(idle_.begin(), idle_, entry);
    return entry->address;
  }
  if (size() >= limit_) {
    if (idle_.empty()) return std::nullopt;
    // The next address is chosen while the old one still counts as taken.
    const Ipv4 address = size() < usable_ ? nextFree() : idle_.back().address;
    byName_.erase(idle_.back().name);
    byAddress_.erase(idle_.back().address.value);
    idle_.splice(idle_.begin(), idle_, std::prev(idle_.end()));
    idle_.front().name.assign(name);
    idle_.front().address = address;
  } else {
    idle_.push_front(Entry{std::string(name), nextFree(), 0});
  }
  byName_.emplace(idle_.front().name, idle_.begin());
  byAddress_.emplace(idle_.front().address.value, idle_.begin());
  return idle_.front().address;
}

std::optional<std::string_view> NameTable::nameOf(Ipv4 address) const {
  const auto found = byAddress_.find(address.value);
  if (found == byAddress_.end()) return std::nullopt;
  return found->second->name;
}

void NameTable::pin(Ipv4 address) {
  const auto found = byAddress_.find(address.value);
  if (found == byAddress_.end()) return;
  const auto entry = found->second;
  if (entry->pins++ == 0) pinned_.splice(pinned_.begin(), idle_, entry);
}

void NameTable::unpin(Ipv4 address) {
  const auto found = byAddress_.find(address.value);
  if (found == byAddress_.end() || found->second->pins == 0) return;
  const auto entry = found->second;
  if (--entry->pins == 0) idle_.splice(idle_.begin(), pinned_, entry);
}

}  // namespace orrery::tproxy
