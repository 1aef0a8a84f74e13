// routerctl under strace: which system calls it makes, and its end at any of them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace orrery::test {

// How often each call was made, by the name that strace gives it.
using Calls = std::map<std::string, int>;

struct Trace {
  Calls calls;
  std::string text;

  int of(const std::string& name) const;
  int all() const;
};

// Of routerctl and its threads, not of the programs that it starts. The command has to succeed.
Trace traced(const std::vector<std::string>& arguments);

// The `number`th call of that name by one thread, from 1.
struct CallPoint {
  std::string name;
  int number = 0;
};

// Each call by which a process changes what others see: files, mounts, processes, netlink.
std::vector<CallPoint> changesIn(const Trace& trace);

// Whether the command was ended there; otherwise it came to its end without that call.
bool killedAt(const std::vector<std::string>& arguments, const CallPoint& point);

}  // namespace orrery::test
