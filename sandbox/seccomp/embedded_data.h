// What the generated file provides to embedded.cc; not for others.
#pragma once

#include <linux/filter.h>

#include <span>
#include <string_view>

#include "sandbox/seccomp/embedded.h"

namespace orrery::embedded {

struct Entry {
  std::string_view name;
  std::span<const sock_filter> program;
  std::span<const sock_filter> reporting;
  std::string_view table;
};

std::span<const Entry> entries();  // sorted by name
std::span<const EmbeddedSource> sources();

}  // namespace orrery::embedded
