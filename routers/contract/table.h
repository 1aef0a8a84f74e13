// The contract for people: the table of SECURITY.md. Pure.
#pragma once

#include <string>

#include "routers/contract/contract.h"

namespace orrery {

// One line, addresses by their words: "UDP from own address to server, its port".
std::string toText(const Allowance& allowance);

// Markdown: for each kind and egress, each link, what may leave it in which states. Equal states
// are named together.
std::string contractTable();

// Lines of SECURITY.md between which contractTable() stands.
inline constexpr const char* kTableBegin =
    "<!-- leak contract: begin (routerctl verify --contract) -->";
inline constexpr const char* kTableEnd = "<!-- leak contract: end -->";

}  // namespace orrery
