if(ORRERY_SANITIZE)
  list(JOIN ORRERY_SANITIZE "," _sanitizers)
  target_compile_options(orrery_options INTERFACE
    -fsanitize=${_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(orrery_options INTERFACE -fsanitize=${_sanitizers})
  target_compile_definitions(orrery_options INTERFACE ORRERY_SANITIZED=1)
endif()
