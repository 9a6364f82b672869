# The command lines: exit codes, messages, what is left behind.
if(TARGET dfm-rt AND TARGET dfm_exec)    # make_toy is of tests/exec
  add_test(NAME cli_rt COMMAND python3 ${CMAKE_CURRENT_LIST_DIR}/rt_cli.py $<TARGET_FILE:dfm-rt>
    $<TARGET_FILE:make_toy>)
  set_tests_properties(cli_rt PROPERTIES LABELS fast TIMEOUT 300)
endif()
if(TARGET dfmc AND TARGET dfm-rt)
  add_test(NAME cli_dit COMMAND python3 ${CMAKE_CURRENT_LIST_DIR}/dit_cli.py $<TARGET_FILE:dfmc>
    $<TARGET_FILE:dfm-rt> ${PROJECT_SOURCE_DIR})
  set_tests_properties(cli_dit PROPERTIES LABELS numeric TIMEOUT 300)
endif()
