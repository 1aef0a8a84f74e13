// The door through which the reader of definitions has filters compiled: libpcap in routerctl, what
// they like in tests.
#pragma once

#include <string>

#include "netns/addr/ip.h"
#include "netns/filter/program.h"

namespace orrery {

class FilterCompiler {
 public:
  virtual ~FilterCompiler() = default;
  // The expression has passed checkExpression(). Errors are for people, in the compiler's words.
  virtual Result<BpfProgram> compile(const std::string& expression, const Prefix4& lan) const = 0;
};

}  // namespace orrery
