# Debian 12 package names are in ./dev (setup). Headers are SYSTEM so that our warnings stay ours.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tl-expected REQUIRED)
foreach(dep libseccomp libnl-3.0 libnl-route-3.0 libnl-genl-3.0 libmnl libnftnl libcap libevent
            libedit libpcap libnetfilter_conntrack)
  string(MAKE_C_IDENTIFIER "${dep}" _id)
  pkg_check_modules(${_id} REQUIRED IMPORTED_TARGET ${dep})
endforeach()
find_path(TOML11_INCLUDE_DIR toml.hpp REQUIRED)
find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp REQUIRED)

# Our programs are started for each router and each command, and most of a start was the dynamic
# linker's (1.3 of 2 ms). So what Debian has as archives is linked from those. A program that says
# STATIC (cmake/OrreryTargets.cmake) has nothing dynamic at all, and so cannot use the others.
function(orrery_link_archive target)
  set(_archives)
  foreach(_name ${ARGN})
    find_library(ARCHIVE_${_name} lib${_name}.a REQUIRED)
    list(APPEND _archives "${ARCHIVE_${_name}}")
  endforeach()
  set_target_properties(PkgConfig::${target} PROPERTIES INTERFACE_LINK_LIBRARIES "${_archives}")
endfunction()
function(orrery_leave_out_of_static target)
  get_target_property(_shared PkgConfig::${target} INTERFACE_LINK_LIBRARIES)
  set_target_properties(PkgConfig::${target} PROPERTIES INTERFACE_LINK_LIBRARIES
    "$<$<NOT:$<BOOL:$<TARGET_PROPERTY:ORRERY_STATIC>>>:${_shared}>")
endfunction()
orrery_link_archive(libseccomp seccomp)
orrery_link_archive(libcap cap)
orrery_link_archive(libevent event_core)
orrery_link_archive(libnftnl nftnl)
orrery_link_archive(libedit edit tinfo bsd md)
orrery_leave_out_of_static(libmnl)
orrery_leave_out_of_static(libnetfilter_conntrack)
