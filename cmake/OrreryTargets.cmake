# orrery_add_layer(LAYER): every second-level folder with a CMakeLists.txt.
function(orrery_add_layer layer)
  file(GLOB _lists CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${layer}/*/CMakeLists.txt")
  foreach(_list ${_lists})
    get_filename_component(_dir "${_list}" DIRECTORY)
    add_subdirectory("${_dir}")
  endforeach()
endfunction()

# orrery_library(SOURCES a.cc b.cc [PUBLIC deps] [PRIVATE deps]) in LAYER/FOLDER makes the static
# library LAYER_FOLDER, alias orrery::LAYER_FOLDER. Without sources it is an interface library.
function(orrery_library)
  cmake_parse_arguments(A "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  file(RELATIVE_PATH _rel "${CMAKE_SOURCE_DIR}" "${CMAKE_CURRENT_SOURCE_DIR}")
  string(REPLACE "/" "_" _name "${_rel}")
  if(A_SOURCES)
    add_library(${_name} STATIC ${A_SOURCES})
    target_link_libraries(${_name} PUBLIC orrery_options ${A_PUBLIC} PRIVATE ${A_PRIVATE})
  else()
    add_library(${_name} INTERFACE)
    target_link_libraries(${_name} INTERFACE orrery_options ${A_PUBLIC})
  endif()
  add_library(orrery::${_name} ALIAS ${_name})
endfunction()

# orrery_program(NAME SOURCES … DEPS … [STATIC|LITTLE_DYNAMIC] [CONFINED]) makes an installed program. With
# LITTLE_DYNAMIC the compiler's own libraries are archives; with STATIC the C library is one too,
# which rules out what loads plugins at run time (users and groups by NSS, names by getaddrinfo).
# Sanitizers need them shared; CONFINED programs have none (Sanitizers.cmake).
function(orrery_program name)
  cmake_parse_arguments(A "STATIC;LITTLE_DYNAMIC;CONFINED" "DESTINATION" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE orrery_options ${A_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  if(A_CONFINED)
    set_target_properties(${name} PROPERTIES ORRERY_CONFINED ON)
  endif()
  set(_sanitized OFF)
  if(ORRERY_SANITIZE AND NOT A_CONFINED)
    set(_sanitized ON)
  endif()
  if(A_STATIC AND NOT _sanitized)
    set_target_properties(${name} PROPERTIES ORRERY_STATIC ON)
    # libevent refers to getaddrinfo, which we never call: the linker's warning about it is moot.
    target_link_options(${name} PRIVATE -static-pie -Wl,--gc-sections -Wl,--no-warnings)
  elseif(A_LITTLE_DYNAMIC AND NOT _sanitized)
    target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc -Wl,--gc-sections)
  endif()
  if(NOT A_DESTINATION)
    set(A_DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
  install(TARGETS ${name} RUNTIME DESTINATION ${A_DESTINATION})
endfunction()
