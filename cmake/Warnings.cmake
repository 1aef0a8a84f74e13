# Warnings are errors; libraries come in as SYSTEM includes.
add_library(orrery_options INTERFACE)
target_compile_options(orrery_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Wnon-virtual-dtor
  -Woverloaded-virtual -Wcast-align -Wformat=2 -Werror
  -fstack-protector-strong -fstack-clash-protection -fcf-protection -fno-plt)
# Designated initialisers that leave the rest at their defaults are how our specs read.
target_compile_options(orrery_options INTERFACE -Wno-missing-field-initializers)
# The release preset is -O2 as well: at -O3 GCC 12 warns of overlaps and bounds in the standard library's
# own code that are not there (GCC bug 105651).
target_compile_definitions(orrery_options INTERFACE
  $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
target_link_options(orrery_options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
target_include_directories(orrery_options INTERFACE "${CMAKE_SOURCE_DIR}")
