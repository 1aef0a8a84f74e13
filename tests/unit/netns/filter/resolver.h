// What libpcap asks of the resolver: the functions by which it would are this program's own, which
// the loader finds before libc's.
#pragma once

#include <string>
#include <vector>

namespace orrery::test {

// In the order of asking; the test clears it.
std::vector<std::string>& askedOfResolver();

}  // namespace orrery::test
