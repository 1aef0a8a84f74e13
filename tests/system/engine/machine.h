// A machine of the tests' own: process 1 of its own pid namespace, its own mounts (empty /run and
// /var/lib), cgroups, and a host network namespace with a NIC. Nothing of it can stay: when the
// test process ends, the kernel ends all of it; the cgroups are removed by the parent, which waits.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/system/netns_fixture.h"

namespace orrery::test {

// Everything of the machine that a router may change, a line each, sorted: links, addresses,
// routes, rules and nft tables of the host's namespace, mounts, files below /run and /var/lib,
// cgroups, processes.
std::vector<std::string> snapshot();

// What differs, "- gone" and "+ new".
::testing::AssertionResult same(const std::vector<std::string>& before,
                                const std::vector<std::string>& after);

// The links of a namespace, "name kind mac mtu up", but lo; sorted.
std::vector<std::string> linksOf(Rtnl& rtnl);

// Processes that run, apart from our own and zombies, "pid name".
std::vector<std::string> processes();

// Waits for a link to come or to go: a port goes a moment after the namespace at its other end.
enum class Presence { there, gone };
void awaitLink(const std::string& netns, const std::string& name, Presence wanted);

// Waits until these are all the links that are there.
void awaitLinks(const std::string& netns, const std::vector<std::string>& wanted);

// A veth end "eth1" in the host's namespace stands in for a NIC; the other end, "wire", is up.
class Nic {
 public:
  Nic();
  ~Nic();
  Nic(const Nic&) = delete;
  Nic& operator=(const Nic&) = delete;
  static Mac address();
  Place& wire() { return wire_; }

 private:
  Place wire_;
};

// Buries orphans that were left to us as process 1.
void reapOrphans();

}  // namespace orrery::test
