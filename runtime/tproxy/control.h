// The conversation with the supervisor: one JSON object a line, both ways, over a stream socket.
//
//   supervisor                 proxy
//                              {"event":"ready"}                     once, when it serves
//   {"stats":true}             {"stats":{"open":3,"accepted":9,…}}
//   {"cut":"all"}              {"ok":true,"cut":3}                   every flow is reset
//   {"epoch":"7"}              {"ok":true}                           new flows get new circuits
//   anything else              {"error":"…"}
//                              {"event":"limit","client":"10.2.2.7","refused":12}   once a minute
//                              {"event":"upstream","reachable":false,"error":"…"}   on change only
//
// The end of the stream ends the program. Commands and texts here are pure; ControlChannel does
// I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "netns/addr/ip.h"
#include "runtime/tproxy/counters.h"
#include "runtime/tproxy/loop.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

struct StatsCommand {};
struct CutCommand {};
struct EpochCommand {
  std::string epoch;  // at most kMaxEpoch bytes, printable
};
using Command = std::variant<StatsCommand, CutCommand, EpochCommand>;

inline constexpr std::size_t kMaxEpoch = 32;

Result<Command> parseCommand(std::string_view line);
std::string statsLine(const Counters& counters, std::size_t openFlows, std::size_t names);
std::string okLine();
std::string cutLine(std::size_t flows);
std::string errorLine(std::string_view message);
std::string readyLine();
std::string clientLimitLine(Ipv4 client, std::uint64_t refused);  // `refused`: of all so far
std::string upstreamLine(bool reachable, std::string_view problem);

class ControlChannel {
 public:
  struct Handler {
    virtual ~Handler() = default;
    virtual std::string onCommand(const Command& command) = 0;  // the answer, without newline
    virtual void onControlClosed() = 0;
  };

  ControlChannel(UniqueFd fd, Handler& handler) : fd_(std::move(fd)), handler_(handler) {}
  Status start(Loop& loop);
  // Queued if the supervisor is slow; dropped (and counted) when 64 KiB wait already.
  void send(std::string_view line);
  std::uint64_t dropped() const { return dropped_; }

 private:
  void onReady(Ready ready);
  bool readLines();
  void takeLines();
  void flush();

  UniqueFd fd_;
  Handler& handler_;
  Watch watch_;
  std::string in_;
  std::string out_;
  std::uint64_t dropped_ = 0;
};

}  // namespace orrery::tproxy
