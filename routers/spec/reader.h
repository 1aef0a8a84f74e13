// From definition texts (TOML) to router specs, or to every complaint about them at once.
//
// Pure: texts come in as values, files that they refer to by the AuxiliaryFiles door. The way is
//   text -> document (toml_document.h: a tree with positions) -> template instances -> one
//   RouterSpec each (router_reader.h) -> checks across the set (set_checks.h).
// A file with a syntax error hides no error of another file; in a file with good syntax every wrong
// key and value is reported. The checks across the set run on the routers that could be read.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "routers/spec/auxiliary_files.h"
#include "routers/spec/diagnostic.h"
#include "routers/spec/filter_compiler.h"
#include "routers/spec/router_spec.h"

namespace orrery {

inline constexpr std::size_t kMaxDefinitionSize = 1 << 20;  // bytes, of each file
inline constexpr std::uint32_t kMaxTemplateCount = 1000;

struct DefinitionFile {
  std::string path;
  std::string text;
};

struct Definitions {
  std::vector<RouterSpec> routers;  // in the order of the files and of the text
  std::vector<Diagnostic> warnings;
};

// Which of the routers that are there already can matter to a set.
struct KnownScope {
  std::set<std::string> networks;  // those of the set
  bool nics = false;               // the set claims a NIC, which a router of any network may have
};

struct ReadOptions {
  std::optional<std::uint32_t> count;  // in place of every template's own `count` (spawn --count)
  // Routers that are there already: they may be uplinks, and the set must not clash with them. One
  // that the set defines anew is replaced by it.
  std::vector<RouterSpec> known;
  // The same for who does not have them at hand: asked once, when the set has been read.
  std::function<std::vector<RouterSpec>(const KnownScope&)> knownIn;
  const FilterCompiler* filters = nullptr;  // none: a definition with filters is refused
};

tl::expected<Definitions, std::vector<Diagnostic>> readDefinitions(
    const std::vector<DefinitionFile>& files, const AuxiliaryFiles& auxiliary,
    const ReadOptions& options = {});

}  // namespace orrery
