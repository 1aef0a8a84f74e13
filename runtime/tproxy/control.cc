#include "runtime/tproxy/control.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <nlohmann/json.hpp>

namespace orrery::tproxy {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxLine = 4096;
constexpr std::size_t kMaxQueued = 64 * 1024;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool isEpoch(const std::string& text) {
  return !text.empty() && text.size() <= kMaxEpoch &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Result<Command> parseCommand(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.size() != 1) return error("expected an object with one command");
  const std::string& name = json.begin().key();
  const Json& value = json.begin().value();
  if (name == "stats" && value.is_boolean() && value.get<bool>()) return Command(StatsCommand{});
  if (name == "cut" && value.is_string() && value.get<std::string>() == "all") {
    return Command(CutCommand{});
  }
  if (name == "epoch" && value.is_string() && isEpoch(value.get<std::string>())) {
    return Command(EpochCommand{value.get<std::string>()});
  }
  return error(R"(expected {{"stats":true}}, {{"cut":"all"}} or {{"epoch":"TEXT"}})");
}

std::string statsLine(const Counters& counters, std::size_t openFlows, std::size_t names) {
  Json ends = Json::object();
  for (std::size_t i = 0; i < kEnds; ++i) {
    ends[toString(static_cast<End>(i))] = counters.ends[i];
  }
  Json dns = Json::object();
  dns["queries"] = counters.dnsQueries;
  for (std::size_t i = 0; i < kDnsOutcomes; ++i) {
    dns[toString(static_cast<DnsOutcome>(i))] = counters.dns[i];
  }
  dns["tcp_refused"] = counters.dnsTcpRefused;
  Json stats = {{"open", openFlows},
                {"names", names},
                {"accepted", counters.accepted},
                {"established", counters.established},
                {"accept_pauses", counters.acceptPauses},
                {"bytes_up", counters.bytesUp},
                {"bytes_down", counters.bytesDown},
                {"copies", counters.copies}};
  stats["ends"] = std::move(ends);
  stats["socks_replies"] = counters.socksReplies;
  stats["dns"] = std::move(dns);
  Json line = Json::object();
  line["stats"] = std::move(stats);
  return dump(line);
}

std::string okLine() {
  return R"({"ok":true})";
}

std::string cutLine(std::size_t flows) {
  Json json = Json::object();
  json["ok"] = true;
  json["cut"] = flows;
  return dump(json);
}

std::string errorLine(std::string_view message) {
  Json json = Json::object();
  json["error"] = message;
  return dump(json);
}

std::string readyLine() {
  return R"({"event":"ready"})";
}

std::string clientLimitLine(Ipv4 client, std::uint64_t refused) {
  Json json = Json::object();
  json["event"] = "limit";
  json["client"] = toString(client);
  json["refused"] = refused;
  return dump(json);
}

std::string upstreamLine(bool reachable, std::string_view problem) {
  Json json = Json::object();
  json["event"] = "upstream";
  json["reachable"] = reachable;
  if (!reachable) json["error"] = problem;
  return dump(json);
}

Status ControlChannel::start(Loop& loop) {
  return watch_.start(loop, fd_.get(), Watch::Mode::edge,
                      dispatch<ControlChannel, &ControlChannel::onReady>, this);
}

void ControlChannel::send(std::string_view line) {
  if (out_.size() + line.size() + 1 > kMaxQueued) {
    ++dropped_;
    return;
  }
  out_.append(line);
  out_ += '\n';
  flush();
}

void ControlChannel::flush() {
  while (!out_.empty()) {
    const ssize_t n = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) return;  // full: the next edge comes here; broken: reading tells
    out_.erase(0, static_cast<std::size_t>(n));
  }
}

void ControlChannel::onReady(Ready ready) {
  flush();
  if (ready.readable() && !readLines()) handler_.onControlClosed();
}

// False at the end of the stream.
bool ControlChannel::readLines() {
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (n == 0) return false;
    in_.append(buffer.data(), static_cast<std::size_t>(n));
    takeLines();
    if (in_.size() > kMaxLine) {
      in_.clear();
      send(errorLine("a line is longer than 4096 bytes"));
    }
  }
}

void ControlChannel::takeLines() {
  std::size_t begin = 0;
  for (std::size_t end; (end = in_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const auto command = parseCommand(std::string_view(in_).substr(begin, end - begin));
    send(command ? handler_.onCommand(*command) : errorLine(command.error().message));
  }
  in_.erase(0, begin);
}

}  // namespace orrery::tproxy
