#include "runtime/console/console.h"

namespace orrery {
namespace {

void write(std::FILE* stream, std::string_view text) {
  // A closed pipe shows at the next write or at exit; there is nobody to tell before.
  (void)std::fwrite(text.data(), 1, text.size(), stream);
}

}  // namespace

Failure::Failure(Error e) : error(std::move(e)) {
  if (error.err == EPERM || error.err == EACCES) code = static_cast<int>(ExitCode::notPermitted);
  if (error.err == ESRCH) code = static_cast<int>(ExitCode::notRunning);
}

tl::unexpected<Failure> failure(ExitCode code, std::string message) {
  Error error;
  error.message = std::move(message);
  return tl::unexpected<Failure>(Failure(code, std::move(error)));
}

void Console::print(std::string_view text) {
  write(out_, text);
}

void Console::table(const Table& table) {
  write(out_, table.render(mode_.colour));
}

void Console::document(const Json& json) {
  write(out_, json.pretty() + '\n');
}

void Console::record(const Json& json) {
  write(out_, json.dump() + '\n');
  (void)std::fflush(out_);
}

void Console::note(std::string_view text) {
  if (!mode_.quiet) write(err_, std::string(text) + '\n');
}

void Console::progress(std::string_view text) {
  if (mode_.quiet) return;
  write(err_, text);
  (void)std::fflush(err_);
}

void Console::complain(std::string_view text) {
  write(err_, text);
}

void Console::fail(const Error& error, const Json& details) {
  (void)std::fflush(out_);
  if (mode_.json) {
    Json json = toJson(error);
    if (!details.isNull()) json.set("details", details);
    write(err_, json.dump() + '\n');
    return;
  }
  write(err_, "routerctl: " + error.message + '\n');
  for (const Error& also : error.also) write(err_, "routerctl:   also: " + also.message + '\n');
}

void Console::flush() {
  (void)std::fflush(out_);
  (void)std::fflush(err_);
}

Json toJson(const Error& error) {
  Json also = Json::array();
  for (const Error& e : error.also) also.push(e.message);
  Json what = Json::object({{"message", error.message}});
  if (error.err != 0) what.set("errno", error.err);
  return Json::object(
      {{"schema", "orrery.error/1"}, {"error", std::move(what)}, {"also", std::move(also)}});
}

}  // namespace orrery
