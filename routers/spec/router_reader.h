// One [router.NAME] table to one RouterSpec.
#pragma once

#include <optional>
#include <string>

#include "routers/spec/auxiliary_files.h"
#include "routers/spec/field_reader.h"
#include "routers/spec/filter_compiler.h"
#include "routers/spec/router_spec.h"
#include "routers/spec/template_expander.h"

namespace orrery {

// Where the checks across the set point to.
struct RouterSpans {
  Span name;
  Span uplink;
  Span uplinkAddress;
  Span lanAddress;
  Span dnsNames;  // of lan.address if the range is the default one
};

struct PlacedRouter {
  RouterSpec spec;
  RouterSpans spans;
  const Source* source = nullptr;  // none: a router that is there already
};

// Nothing if anything was wrong, which has been reported. Profiles are read through `auxiliary`;
// complaints about them carry their own file names. `filters` may be null (ReadOptions).
std::optional<PlacedRouter> readRouter(const RouterInstance& instance, const std::string& network,
                                       const AuxiliaryFiles& auxiliary,
                                       const FilterCompiler* filters, Reporter& reporter);

}  // namespace orrery
