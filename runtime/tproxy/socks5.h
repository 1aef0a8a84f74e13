// The client's side of a SOCKS5 CONNECT (RFC 1928, user/password RFC 1929) as a state machine on
// bytes: it says what to send and how many bytes to read, and takes what came in pieces of any
// size. It never asks for a byte beyond the reply, because what follows belongs to the relayed
// stream.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "netns/addr/ip.h"
#include "runtime/tproxy/config.h"

namespace orrery::tproxy {

struct Target {
  std::variant<Ipv4, std::string> host;  // a name of 1 to 255 bytes
  std::uint16_t port = 0;                // host order
};

class Socks5Handshake {
 public:
  enum class State { running, done, rejected, protocolError };

  // One message at a time: tor (0.4.9) answers only the last of those that reach it together.
  Socks5Handshake(const Target& target, const std::optional<Credentials>& credentials);

  State state() const { return state_; }
  // The server's reply code (RFC 1928 §6), once rejected.
  std::uint8_t replyCode() const { return replyCode_; }

  // Bytes to be sent now; sent() tells how many of them were.
  std::span<const std::uint8_t> output() const;
  void sent(std::size_t bytes);

  // How many bytes may be read at most, 0 when none is due.
  std::size_t wanted() const;
  // Takes at most wanted() bytes.
  void feed(std::span<const std::uint8_t> bytes);

 private:
  enum class Phase { method, authentication, reply };

  void endPhase();
  void allowOutputTo(std::size_t end) { allowed_ = end; }
  std::size_t messageSize() const;

  std::string out_;  // all three messages
  std::size_t sent_ = 0;
  std::size_t allowed_ = 0;  // how far of out_ may leave by now
  std::size_t requestAt_ = 0;
  bool withPassword_ = false;
  Phase phase_ = Phase::method;
  State state_ = State::running;
  std::uint8_t replyCode_ = 0;
  std::array<std::uint8_t, 4 + 1 + 255 + 2> in_{};  // the largest message: a reply with a name
  std::size_t inSize_ = 0;
};

}  // namespace orrery::tproxy
