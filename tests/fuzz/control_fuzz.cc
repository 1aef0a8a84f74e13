// What reaches a control socket, a portal or a client: requests, replies, states, events, and the
// records of attached clients. What is accepted is the same after it was written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "runtime/control/events.h"
#include "runtime/control/protocol.h"
#include "runtime/control/state.h"
#include "runtime/routerctl/attachment.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace orrery;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto json = parseJson(text)) {
    // Texts that are no UTF-8 were replaced when they were read, so the second round changes
    // nothing.
    const std::string written = json->dump();
    require(written.find('\n') == std::string::npos);
    const auto again = parseJson(written);
    require(again && again->dump() == written);
    require(parseJson(json->pretty()).has_value());
  }
  (void)parseRequest(text);
  (void)parseReply(text);
  (void)parseEvent(text);
  if (const auto state = parseState(text)) {
    const auto again = stateFromJson(toJson(*state));
    require(again && toJson(*again) == toJson(*state));
  }
  if (const auto attachment = parseAttachment(text)) {
    const auto again = parseAttachment(toText(*attachment));
    require(again && *again == *attachment);
  }
  return 0;
}
