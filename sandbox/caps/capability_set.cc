#include "sandbox/caps/capability_set.h"

#include <sys/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cctype>

#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr int kWords = 64;  // the kernel's sets have 64 bits (linux/capability.h, version 3)

std::string nameOf(int number) {
  char* text = ::cap_to_name(number);
  if (text == nullptr) return fmt::format("{}", number);
  std::string name = text;
  (void)::cap_free(text);
  return name;
}

Result<int> numberOf(std::string_view word) {
  std::string name(word);
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (name.compare(0, 4, "cap_") != 0) name.insert(0, "cap_");
  cap_value_t number = 0;
  if (::cap_from_name(name.c_str(), &number) != 0)
    return error("'{}' is not the name of a capability, such as cap_net_raw", word);
  return number;
}

}  // namespace

int lastCapability() {
  int last = 0;
  while (last + 1 < kWords && ::prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) ++last;
  return last;
}

Result<CapabilitySet> CapabilitySet::fromNumbers(const std::vector<int>& numbers) {
  const int last = numbers.empty() ? 0 : lastCapability();
  std::uint64_t bits = 0;
  for (int number : numbers) {
    if (number < 0 || number > last)
      return error("{} is not a capability: this kernel has 0 to {}", number, last);
    bits |= std::uint64_t{1} << number;
  }
  return CapabilitySet(bits);
}

Result<CapabilitySet> CapabilitySet::parse(std::string_view text) {
  if (trim(text).empty() || trim(text) == "none") return CapabilitySet();
  std::vector<int> numbers;
  for (std::string_view word : split(text, ',')) {
    ORRERY_TRY_ASSIGN(const int number, numberOf(trim(word)));
    numbers.push_back(number);
  }
  return fromNumbers(numbers);
}

CapabilitySet CapabilitySet::all() {
  return CapabilitySet((std::uint64_t{2} << lastCapability()) - 1);
}

std::string toText(const CapabilitySet& set) {
  std::vector<std::string> names;
  for (int number = 0; number < kWords; ++number)
    if (set.contains(number)) names.push_back(nameOf(number));
  return names.empty() ? "none" : join(names, ",");
}

}  // namespace orrery
