// Where an expression stops being one: libpcap says that it is none, not where. Pure, but for what
// the compiler does.
//
// A text is the beginning of an expression if something can be put behind it that makes it one. The
// fault is the word with which that ends; that is where libpcap's parser gave up. What is put
// behind is a list of all that its grammar (pcap-filter(7)) can go on with.
#pragma once

#include <string>

#include "netns/addr/ip.h"
#include "routers/spec/filter_compiler.h"
#include "routers/spec/filter_expression.h"

namespace orrery {

// Whether a compiler's error is of the grammar, not of what the words say.
bool isSyntaxError(const Error& error);

// Of an expression that the compiler refuses with a syntax error. Behind its last byte if it ends
// too early.
ExpressionFault syntaxFault(const std::string& expression, const FilterCompiler& compiler,
                            const Prefix4& lan);

}  // namespace orrery
