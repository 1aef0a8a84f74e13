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
