// Capabilities as a value, and the drop to exactly a set.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace orrery {

class CapabilitySet {
 public:
  CapabilitySet() = default;
  // CAP_* numbers of linux/capability.h, each 0..63 and known to libcap or the running kernel.
  static Result<CapabilitySet> fromNumbers(const std::vector<int>& numbers);
  // "cap_net_raw,cap_setuid", case and the "cap_" prefix free, "" and "none" for nothing.
  static Result<CapabilitySet> parse(std::string_view text);
  // Every capability of the running kernel.
  static CapabilitySet all();

  std::uint64_t bits() const { return bits_; }
  bool empty() const { return bits_ == 0; }
  bool contains(int number) const { return number >= 0 && number < 64 && (bits_ >> number & 1); }
  friend bool operator==(const CapabilitySet&, const CapabilitySet&) = default;

 private:
  explicit CapabilitySet(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t bits_ = 0;
};

// "cap_net_bind_service,cap_net_raw", by number; "none".
std::string toText(const CapabilitySet& set);

// The highest capability of the running kernel (capabilities(7), PR_CAPBSET_READ).
int lastCapability();

// --- in the child: raw system calls, async-signal-safe, each returns 0 or an errno
// -----------------

// Takes everything but `bits` from the bounding set. Needs CAP_SETPCAP.
int limitBoundingSet(std::uint64_t bits, int lastCapability) noexcept;
// Root gets no capability by exec, set*uid changes none, ambient ones can no longer be raised; all
// locked. Splits in two since raising ambient ones comes in between.
int keepCapabilitiesOverSetuid() noexcept;
// Permitted, effective, inheritable and ambient become exactly `bits`; securebits are locked. Needs
// CAP_SETPCAP; keepCapabilitiesOverSetuid and limitBoundingSet come before.
int becomeExactly(std::uint64_t bits) noexcept;

}  // namespace orrery
