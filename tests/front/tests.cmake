# The front end up to the syntax tree: scanner, grammar, messages, formatter.
if(TARGET dfm_syntax)
  foreach(test diag_test front_golden_test front_limits_test front_format_test)
    dfm_test(${test} LABELS fast SOURCES ${CMAKE_CURRENT_LIST_DIR}/${test}.c LIBS dfm_syntax)
  endforeach()
endif()
