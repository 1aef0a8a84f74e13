// Shared by the tests of this folder: a spec that runs the probe, and its answers.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "sandbox/process/spawn.h"

namespace orrery::test {

inline constexpr std::uint32_t kOutside = 700000;  // first mapped id on the host

// A root with /probe, /tmp, /dev, /proc and one text file.
SandboxSpec probeSpec(std::vector<std::string> questions);

using Answers = std::map<std::string, std::string>;
struct ProbeRun {
  Answers answers;
  ExitStatus status;
};
// Runs to the end and reads all answers. Adds a gtest failure if it cannot be started.
ProbeRun runProbe(const SandboxSpec& spec, SpawnRequest* options = nullptr);

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};
Pipe makePipe();
// One line, waiting for it; "" at the end of file.
std::string readLine(int fd);
std::string linkTarget(const std::string& path);
// A new network namespace, pinned by nothing but the descriptor. The caller stays where it is.
NetnsFd newNetns();

}  // namespace orrery::test
