# Random programs in the language through every level; a printer of them.
if(TARGET dfm_driver)
  set(here ${CMAKE_CURRENT_LIST_DIR})
  set(random_gen ${here}/gen.c ${here}/gen_base.c ${here}/gen_stmt.c ${here}/gen_view.c
    ${here}/gen_big.c ${here}/gen_net.c ${here}/gen_op.c)
  add_executable(random_program ${here}/gen_main.c ${random_gen})
  target_link_libraries(random_program PRIVATE dfm_flags dfm_base)
endif()
if(TARGET dfm_driver)
  add_executable(test_random_programs ${here}/test_random_programs.c ${here}/check.c ${here}/batch.c
    ${here}/paths.c ${here}/shrink.c ${here}/failure.c ${here}/coverage.c
    ${random_gen})
  target_link_libraries(test_random_programs PRIVATE dfm_flags dfm_driver m)
  target_compile_definitions(test_random_programs PRIVATE DFM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME random_programs COMMAND test_random_programs)
  set_tests_properties(random_programs PROPERTIES LABELS numeric TIMEOUT 900)
endif()

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME random_mutants_list COMMAND ${Python3_EXECUTABLE} -B
    ${CMAKE_CURRENT_LIST_DIR}/mutants.py --list)
  set_tests_properties(random_mutants_list PROPERTIES LABELS fast)
endif()
