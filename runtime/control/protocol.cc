#include "runtime/control/protocol.h"

#include <algorithm>

#include "runtime/control/events.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxVerb = 64;

bool isVerb(std::string_view text) {
  return !text.empty() && text.size() <= kMaxVerb && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace

std::string toLine(const ControlRequest& request) {
  return Json::object(
             {{"schema", kControlSchema}, {"request", request.verb}, {"args", request.args}})
             .dump() +
         '\n';
}

std::string toLine(const ControlReply& reply) {
  Json json = Json::object({{"ok", reply.ok}});
  if (reply.ok)
    json.set("result", reply.result);
  else
    json.set("error", Json::object({{"code", reply.code}, {"message", reply.message}}));
  return json.dump() + '\n';
}

Result<ControlRequest> parseRequest(std::string_view line) {
  ORRERY_TRY_ASSIGN(const Json json, parseJson(line, kMaxControlLine));
  if (!json.isObject()) return error("request: a JSON object is expected");
  for (const Json::Member& member : *json.asObject())
    if (member.first != "schema" && member.first != "request" && member.first != "args")
      return error("request: unknown member '{}'", printable(member.first));
  if (const Json& schema = json["schema"]; !schema.isNull() && schema != Json(kControlSchema))
    return error("request: 'schema' must be \"{}\"", kControlSchema);
  ControlRequest request;
  request.verb = json.text("request");
  if (!isVerb(request.verb)) return error("request: 'request' must name one, e.g. \"status\"");
  if (const Json& args = json["args"]; !args.isNull()) {
    if (!args.isObject()) return error("request: 'args' must be an object");
    request.args = args;
  }
  return request;
}

Result<ControlReply> parseReply(std::string_view line) {
  ORRERY_TRY_ASSIGN(const Json json, parseJson(line, kMaxControlLine));
  const auto ok = json["ok"].asBool();
  if (!ok) return error("reply: no 'ok'");
  ControlReply reply;
  reply.ok = *ok;
  if (reply.ok) {
    reply.result = json["result"];
  } else {
    reply.code = json["error"].text("code", control_code::kFailed);
    reply.message = json["error"].text("message", "no reason given");
  }
  return reply;
}

}  // namespace orrery
