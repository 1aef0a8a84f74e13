// Filters: an expression of a definition, through the check of its words and libpcap, and a program
// of a run directory. What is let through must run to an end on any frame, here as at a bridge.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "netns/pcap/compile.h"
#include "routers/spec/filter_expression.h"

namespace {

void use(const orrery::BpfProgram& program, std::string_view frame) {
  using namespace orrery;
  if (!checkProgram(program)) return;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.data());
  for (std::size_t size = 0; size <= frame.size(); size += 1 + size / 4)
    (void)runProgram(program, {bytes, size});
  if (parseProgram(toText(program)).value() != program) std::abort();
  if (const auto moved = forBridgeHooks(program); moved && moved->size() > kMaxBpfInstructions)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery;
  static const auto kCompiler = ExpressionCompiler::open();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto program = parseProgram(text)) use(*program, text);
  const auto fault = checkExpression(text);
  if (fault && fault->offset > text.size()) std::abort();
  if (fault || !kCompiler) return 0;
  const Prefix4 lan{Ipv4{0x0a0101fe}, 24};
  if (const auto program = kCompiler->compile(std::string(text), lan)) use(*program, text);
  return 0;
}
