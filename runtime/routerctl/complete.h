// What may stand where the cursor is, for the shell's completion. Pure but for the services of a
// router, which are its log files.
#pragma once

#include <string>
#include <vector>

#include "routers/spec/router_spec.h"
#include "runtime/routerctl/command.h"

namespace orrery {

struct CompletionFacts {
  std::vector<RouterId> routers;
  std::string root;
};

// `words`: those after the program's name, the last one being typed (perhaps ""). Nothing where
// files are expected: shells complete those better.
std::vector<std::string> proposals(const Commands& commands, const std::vector<std::string>& words,
                                   const CompletionFacts& facts);

}  // namespace orrery
