// libfmt's own code, compiled into an archive of ours: a program that is started as often as these
// must not wait for the dynamic linker (docs/PERFORMANCE.md).
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {
// What its headers declare and leave to the library.
template thousands_sep_result<char> thousands_sep_impl(locale_ref);
template char decimal_point_impl(locale_ref);
}  // namespace detail
FMT_END_NAMESPACE
