// Text helpers that the standard library lacks in C++20. Pure.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery {

std::vector<std::string_view> split(std::string_view text, char separator);
std::vector<std::string_view> splitWords(std::string_view text);  // any run of blanks

// The parts are views: of a string that ends with the statement (or, in a range-for before C++23,
// with its first line) they would dangle.
template <std::same_as<std::string> T>
void split(T&& text, char separator) = delete;
template <std::same_as<std::string> T>
void splitWords(T&& text) = delete;

std::string_view trim(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// The whole text as a decimal number; nothing on an empty text, a sign, trailing bytes, overflow.
template <class T>
std::optional<T> parseNumber(std::string_view text, int base = 10) {
  T value{};
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The candidate nearest to `word` by edit distance, if it is near enough to be a slip of the hand.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace orrery
