# orrery_embed_seccomp(NAME): the static library NAME with every profile of configs/seccomp compiled
# to BPF by orrery-seccomp-gen, which is built first. A faulty profile fails the build.
function(orrery_embed_seccomp name)
  add_executable(orrery-seccomp-gen gen_main.cc)
  target_link_libraries(orrery-seccomp-gen PRIVATE sandbox_seccomp)

  file(GLOB _profiles CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/configs/seccomp/*.toml")
  set(_generated "${CMAKE_CURRENT_BINARY_DIR}/embedded_profiles.cc")
  add_custom_command(
    OUTPUT "${_generated}"
    COMMAND orrery-seccomp-gen "${_generated}" ${_profiles}
    DEPENDS orrery-seccomp-gen ${_profiles}
    COMMENT "Compiling the seccomp profiles"
    VERBATIM)

  add_library(${name} STATIC embedded.cc install.cc own_calls.cc "${_generated}")
  target_link_libraries(${name} PUBLIC orrery_options orrery::sandbox_base)
  add_library(orrery::${name} ALIAS ${name})
endfunction()
