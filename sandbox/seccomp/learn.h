// What a service did beyond its profile, as a proposal for a profile of the user's own.
//
// A proposal is text to be reviewed, not a profile to be trusted: who was watched may have been
// compromised already. Its size is bounded, whatever the service does.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "sandbox/seccomp/profile.h"

namespace orrery {

class LearnedCalls {
 public:
  // True if the proposal has changed by it.
  bool add(SeccompArch arch, int number, const std::array<std::uint64_t, 6>& args);
  bool empty() const { return calls_.empty(); }
  // A profile that extends the shipped one of the service. Rules for calls whose first arguments
  // choose what they do (ioctl, socket, prctl …) name the values that were seen.
  std::string proposal(std::string_view service, const SeccompAction& fallback) const;

 private:
  struct Seen {
    std::uint64_t count = 0;
    std::set<std::uint64_t> values;  // of the deciding argument, kMaxValues at most
    bool any = false;                // there were more
  };
  std::map<std::string, Seen> calls_;
};

}  // namespace orrery
