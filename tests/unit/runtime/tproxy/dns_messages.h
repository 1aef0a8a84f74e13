// DNS messages written by hand for tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::tproxy::testing {

using Bytes = std::vector<std::uint8_t>;

inline Bytes bytes(std::string_view text) {
  return Bytes(text.begin(), text.end());
}

inline void add16(Bytes& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value & 0xff));
}

// "www.example" -> 3 w w w 7 e x a m p l e 0. No check at all.
inline Bytes wireName(std::string_view name) {
  Bytes out;
  while (!name.empty()) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    out.push_back(static_cast<std::uint8_t>(dot));
    out.insert(out.end(), name.begin(), name.begin() + static_cast<std::ptrdiff_t>(dot));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  out.push_back(0);
  return out;
}

struct Header {
  unsigned id = 0x1234;
  unsigned flags = 0x0100;  // RD
  unsigned questions = 1;
  unsigned answers = 0;
  unsigned authorities = 0;
  unsigned additional = 0;
};

inline Bytes message(const Header& h, const Bytes& body) {
  Bytes out;
  for (unsigned v : {h.id, h.flags, h.questions, h.answers, h.authorities, h.additional}) {
    add16(out, v);
  }
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

inline Bytes question(const Bytes& name, unsigned type = 1, unsigned klass = 1) {
  Bytes out = name;
  add16(out, type);
  add16(out, klass);
  return out;
}

inline Bytes query(std::string_view name, unsigned type = 1, unsigned klass = 1) {
  return message({}, question(wireName(name), type, klass));
}

inline Bytes opt(unsigned size, unsigned version = 0) {
  Bytes out = {0};
  add16(out, 41);
  add16(out, size);
  out.push_back(0);
  out.push_back(static_cast<std::uint8_t>(version));
  add16(out, 0);
  add16(out, 0);
  return out;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace orrery::tproxy::testing
