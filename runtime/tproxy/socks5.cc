#include "runtime/tproxy/socks5.h"

#include <algorithm>

namespace orrery::tproxy {
namespace {

constexpr char kVersion = 5;
constexpr char kAuthVersion = 1;
constexpr char kMethodNone = 0;
constexpr char kMethodPassword = 2;
constexpr char kConnect = 1;
constexpr std::uint8_t kAddressIpv4 = 1;
constexpr std::uint8_t kAddressName = 3;
constexpr std::uint8_t kAddressIpv6 = 4;
constexpr std::size_t kSmallestReply = 4 + 1 + 2;  // header, empty name, port

void addField(std::string& out, const std::string& text) {
  const std::size_t size = std::min<std::size_t>(text.size(), 255);
  out += static_cast<char>(size);
  out.append(text, 0, size);
}

void addTarget(std::string& out, const Target& target) {
  if (const auto* name = std::get_if<std::string>(&target.host)) {
    out += static_cast<char>(kAddressName);
    addField(out, *name);
  } else {
    const std::uint32_t address = std::get<Ipv4>(target.host).value;
    out += static_cast<char>(kAddressIpv4);
    for (const unsigned shift : {24u, 16u, 8u, 0u}) {
      out += static_cast<char>(address >> shift & 0xff);
    }
  }
  out += static_cast<char>(target.port >> 8);
  out += static_cast<char>(target.port & 0xff);
}

}  // namespace

Socks5Handshake::Socks5Handshake(const Target& target,
                                 const std::optional<Credentials>& credentials)
    : withPassword_(credentials.has_value()) {
  out_ = {kVersion, 1, withPassword_ ? kMethodPassword : kMethodNone};
  const std::size_t greeting = out_.size();
  if (credentials) {
    out_ += kAuthVersion;
    addField(out_, credentials->user);
    addField(out_, credentials->password);
  }
  requestAt_ = out_.size();
  out_ += {kVersion, kConnect, 0};
  addTarget(out_, target);
  allowOutputTo(greeting);
}

std::span<const std::uint8_t> Socks5Handshake::output() const {
  if (state_ != State::running) return {};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(out_.data());
  return {bytes + sent_, allowed_ - sent_};
}

void Socks5Handshake::sent(std::size_t bytes) {
  sent_ += std::min(bytes, allowed_ - sent_);
}

// The size of the message that is coming in, as far as its first bytes tell.
std::size_t Socks5Handshake::messageSize() const {
  if (phase_ != Phase::reply) return 2;
  if (inSize_ < 5) return kSmallestReply;
  switch (in_[3]) {
    case kAddressIpv4:
      return 4 + 4 + 2;
    case kAddressIpv6:
      return 4 + 16 + 2;
    default:
      return 4u + 1u + in_[4] + 2u;
  }
}

std::size_t Socks5Handshake::wanted() const {
  if (state_ != State::running) return 0;
  std::size_t later = 0;
  if (phase_ == Phase::method) later = (withPassword_ ? 2u : 0u) + kSmallestReply;
  if (phase_ == Phase::authentication) later = kSmallestReply;
  return messageSize() - inSize_ + later;
}

void Socks5Handshake::feed(std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) {
    if (state_ != State::running) return;
    in_[inSize_++] = byte;
    if (inSize_ == messageSize()) endPhase();
    // A refused request ends at its code: some servers close without the rest of the reply.
    if (phase_ == Phase::reply && inSize_ == 2 && in_[0] == 5 && in_[1] != 0) {
      replyCode_ = in_[1];
      state_ = State::rejected;
    }
    if (phase_ == Phase::reply && inSize_ == 4 && in_[3] != kAddressIpv4 &&
        in_[3] != kAddressName && in_[3] != kAddressIpv6) {
      state_ = State::protocolError;
    }
  }
}

void Socks5Handshake::endPhase() {
  inSize_ = 0;
  switch (phase_) {
    case Phase::method:
      if (in_[0] != kVersion || in_[1] != (withPassword_ ? kMethodPassword : kMethodNone)) {
        state_ = State::protocolError;
        return;
      }
      phase_ = withPassword_ ? Phase::authentication : Phase::reply;
      allowOutputTo(std::max(allowed_, withPassword_ ? requestAt_ : out_.size()));
      return;
    case Phase::authentication:
      if (in_[1] != 0) {  // RFC 1929 §2: any other status is a refusal
        state_ = State::protocolError;
        return;
      }
      phase_ = Phase::reply;
      allowOutputTo(out_.size());
      return;
    case Phase::reply:
      state_ = in_[0] == kVersion && in_[1] == 0 ? State::done : State::protocolError;
      return;
  }
}

}  // namespace orrery::tproxy
