// The [router.NAME.egress] table, with the profile that it names.
#pragma once

#include <optional>
#include <string>

#include "routers/spec/auxiliary_files.h"
#include "routers/spec/field_reader.h"
#include "routers/spec/router_spec.h"

namespace orrery {

struct EgressContext {
  Kind kind = Kind::galaxy;
  std::string title;            // "[router.galaxy0]"
  Span router;                  // where a missing table is reported
  const Node* table = nullptr;  // none: the kind's default
};

std::optional<EgressSpec> readEgress(const EgressContext& context, const AuxiliaryFiles& auxiliary,
                                     Reporter& reporter);

}  // namespace orrery
