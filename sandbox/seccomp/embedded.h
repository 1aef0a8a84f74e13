// The profiles of configs/seccomp, compiled when Orrery was built: ready programs, no libseccomp
// and no parsing at run time. Made by orrery-seccomp-gen (cmake/EmbedSeccomp.cmake).
#pragma once

#include <linux/filter.h>

#include <span>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace orrery {

// The program, for installSeccomp(). Static storage. An unknown name is an error that lists the
// known ones.
Result<std::span<const sock_filter>> embeddedProfile(std::string_view name);

// The same with refusals handed to a listener (reportingRefusals() of profile.h): to be installed
// with one, or it answers ENOSYS to them.
Result<std::span<const sock_filter>> embeddedReportingProfile(std::string_view name);

// The effective table of the same profile, as text (see dump.h).
Result<std::string_view> embeddedTable(std::string_view name);

std::vector<std::string_view> embeddedProfileNames();

// The texts that they were made from, parts too: for a user's own profile that extends them.
struct EmbeddedSource {
  std::string_view name;
  std::string_view text;
};
std::span<const EmbeddedSource> embeddedSources();

}  // namespace orrery
