// What a router is made of right now: the sections of `routerctl inspect` and the commands of
// `routerctl shell`, one table for both.
//
// Everything is read from outside, by netlink and procfs, and no supervisor is needed: sections
// work while the router is broken. Needs root.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "routers/spec/router_spec.h"
#include "runtime/console/console.h"
#include "runtime/console/table.h"
#include "runtime/control/json.h"
#include "runtime/control/paths.h"
#include "runtime/control/state.h"
#include "sandbox/base/fd.h"

namespace orrery {

struct InspectTarget {
  RouterId id;
  RouterPaths paths;
  bool running = false;              // a supervisor answers
  std::optional<RouterState> state;  // its answer, else the last that it wrote down
  std::optional<RouterSpec> spec;    // as spawned
  bool brief = false;                // long lists are left out: many sections are shown at once
};

// A part of a section, for people. The title says where it was read: "network0.galaxy0".
struct InspectBlock {
  std::string title;  // "": none
  std::variant<Table, std::string> content;
};
struct InspectView {
  std::vector<InspectBlock> blocks;
  Json json;
};

struct InspectSection {
  std::string_view name;
  std::string_view summary;
  Result<InspectView> (*read)(const InspectTarget& target);
  bool onlyByName = false;  // not among "all"
};

const std::vector<InspectSection>& inspectSections();
const InspectSection* findSection(std::string_view name);  // null if there is none

// Reads and prints one section as text.
Status printSection(Console& console, const InspectSection& section, const InspectTarget& target);

}  // namespace orrery
