# Everything is built with the sanitizers but what is confined: a sanitizer's runtime makes calls and
# opens files that no profile and no root of ours has. Those programs' sources are in unit tests too.
define_property(TARGET PROPERTY ORRERY_CONFINED
  BRIEF_DOCS "Runs in a sandbox, or is a static program made for one: no sanitizer")
if(ORRERY_SANITIZE)
  list(JOIN ORRERY_SANITIZE "," _sanitizers)
  set(_free "$<NOT:$<BOOL:$<TARGET_PROPERTY:ORRERY_CONFINED>>>")
  target_compile_options(orrery_options INTERFACE
    "$<${_free}:-fsanitize=${_sanitizers};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
  target_link_options(orrery_options INTERFACE "$<${_free}:-fsanitize=${_sanitizers}>")
endif()
