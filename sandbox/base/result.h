// One way to fail: Result<T> carries a value or an Error, Status carries nothing or an Error.
//
// Libraries return errors and never log, print or exit. Context is prepended while an error travels
// upwards, so a message reads outermost first: "router 'galaxy0': open '/x': No such file or
// directory". The first failure wins; failures met while undoing are attached in `also`.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace orrery {

// Innermost origin of an error. std::source_location is missing in clang 14.
struct Where {
  const char* file = __builtin_FILE();
  int line = __builtin_LINE();
};

struct [[nodiscard]] Error {
  int err = 0;          // errno, 0 if the kernel was not involved
  std::string message;  // outermost context first
  Where where{};
  std::vector<Error> also{};  // failures met while cleaning up; they never replace the first one
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

template <class... A>
struct FmtAt {  // a format string and its call site, so that a parameter pack may follow
  fmt::format_string<A...> text;
  Where at;
  template <class S>
  consteval FmtAt(const S& s, Where w = {}) : text(s), at(w) {}  // NOLINT: implicit by design
};

// An error of our own, without an errno.
template <class... A>
tl::unexpected<Error> error(FmtAt<std::type_identity_t<A>...> f, A&&... a) {
  return tl::unexpected<Error>(Error{0, fmt::format(f.text, std::forward<A>(a)...), f.at, {}});
}

// An error of the kernel or libc. `err` is an argument because formatting may clobber errno.
template <class... A>
tl::unexpected<Error> sysError(int err, FmtAt<std::type_identity_t<A>...> f, A&&... a) {
  return tl::unexpected<Error>(
      Error{err, fmt::format(f.text, std::forward<A>(a)...) + ": " + std::strerror(err), f.at, {}});
}

// Prepends context, keeps errno, origin and `also`.
template <class... A>
tl::unexpected<Error> wrap(Error e, fmt::format_string<A...> f, A&&... a) {
  e.message = fmt::format(f, std::forward<A>(a)...) + ": " + e.message;
  return tl::unexpected<Error>(std::move(e));
}

}  // namespace orrery

// Propagates a failed Status or Result.
#define ORRERY_TRY(expression)                                                    \
  do {                                                                            \
    if (auto orreryTry = (expression); !orreryTry)                                \
      return tl::unexpected<::orrery::Error>(std::move(orreryTry).error());       \
  } while (false)

#define ORRERY_CONCAT_(a, b) a##b
#define ORRERY_CONCAT(a, b) ORRERY_CONCAT_(a, b)
#define ORRERY_TRY_ASSIGN_(temporary, lhs, expression)                            \
  auto temporary = (expression);                                                  \
  if (!temporary) return tl::unexpected<::orrery::Error>(std::move(temporary).error()); \
  lhs = std::move(temporary).value()

// ORRERY_TRY_ASSIGN(UniqueFd fd, openFile(...)): declares or assigns the value, or propagates.
#define ORRERY_TRY_ASSIGN(lhs, expression) \
  ORRERY_TRY_ASSIGN_(ORRERY_CONCAT(orreryResult, __LINE__), lhs, expression)
