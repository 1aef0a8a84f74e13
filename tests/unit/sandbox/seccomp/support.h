// Shared by the tests of this folder.
#pragma once

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sandbox/base/file.h"
#include "sandbox/seccomp/profile.h"

namespace orrery::test {

using Args = std::array<std::uint64_t, 6>;

inline constexpr std::array<std::uint32_t, 3> kForeignArchs = {AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64,
                                                               0};

inline seccomp_data callData(int number, const Args& args = {},
                             std::uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  for (std::size_t i = 0; i < args.size(); ++i) data.args[i] = args.at(i);
  return data;
}

inline ProfileSet setOf(const std::vector<std::pair<std::string, std::string>>& texts) {
  ProfileSet set;
  for (const auto& [name, text] : texts) {
    auto profile = readProfile(name, text);
    if (!profile) {
      ADD_FAILURE() << profile.error().message;
      continue;
    }
    set[name] = *profile;
  }
  return set;
}

// The profiles in the tree.
inline ProfileSet shippedSet() {
  const std::string dir = std::string(ORRERY_SOURCE_DIR) + "/configs/seccomp";
  std::vector<std::pair<std::string, std::string>> texts;
  const auto names = listDirectory(dir);
  if (!names) ADD_FAILURE() << names.error().message;
  for (const std::string& file : names.value_or(std::vector<std::string>{})) {
    const std::size_t dot = file.rfind(".toml");
    if (dot == std::string::npos) continue;
    const auto text = readFile(dir + "/" + file);
    if (!text) ADD_FAILURE() << text.error().message;
    texts.emplace_back(file.substr(0, dot), text.value_or(""));
  }
  return setOf(texts);
}

inline FlatProfile x86Profile(const ProfileSet& set, const std::string& name) {
  auto flat = flatten(set, name, {.arch = SeccompArch::x86_64});
  if (!flat) ADD_FAILURE() << flat.error().message;
  return flat.value_or(FlatProfile{});
}

}  // namespace orrery::test
