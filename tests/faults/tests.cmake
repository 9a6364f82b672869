# Every call to the system fails once; every crash leaves what it may leave. The two programs are
# linked a second time, with functions that do so on demand (faults.c): the programs that are
# installed have none of it.
set(here ${CMAKE_CURRENT_LIST_DIR})
find_package(Python3 COMPONENTS Interpreter)

if(TARGET dfmc AND TARGET dfm-rt AND Python3_FOUND)
  add_library(dfm_faults OBJECT ${here}/faults.c ${PROJECT_SOURCE_DIR}/runtime/base/arena.c)
  target_link_libraries(dfm_faults PRIVATE dfm_flags)
  target_compile_definitions(dfm_faults PRIVATE DFM_ARENA_MALLOC)
  add_executable(dfmc-faults ${PROJECT_SOURCE_DIR}/compiler/main.c $<TARGET_OBJECTS:dfm_faults>)
  target_link_libraries(dfmc-faults PRIVATE dfm_driver)
  add_executable(dfm-rt-faults ${PROJECT_SOURCE_DIR}/runtime/app/main.c $<TARGET_OBJECTS:dfm_faults>)
  target_link_libraries(dfm-rt-faults PRIVATE dfm_rt)

  # fault_test(NAME SCRIPT LABELS l [CONFIGURATIONS c] [TIMEOUT s] [ARGS word ...])
  function(fault_test name script)
    cmake_parse_arguments(A "" "TIMEOUT;LABELS;CONFIGURATIONS" "ARGS" ${ARGN})
    if(A_CONFIGURATIONS)
      set(A_CONFIGURATIONS CONFIGURATIONS ${A_CONFIGURATIONS})
    endif()
    add_test(NAME ${name} ${A_CONFIGURATIONS} COMMAND ${Python3_EXECUTABLE} -B
      ${here}/${script}.py --source ${PROJECT_SOURCE_DIR} --cache ${PROJECT_BINARY_DIR}/test-cache
      --bin $<TARGET_FILE:dfmc-faults> $<TARGET_FILE:dfm-rt-faults> ${A_ARGS})
    set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
  endfunction()

  fault_test(faults_some test_faults LABELS numeric TIMEOUT 300)
  fault_test(crash_some test_crash LABELS numeric TIMEOUT 600)
  # Only on demand: ctest -C Slow -R 'faults_all|crash_all'
  fault_test(faults_all test_faults LABELS slow CONFIGURATIONS Slow TIMEOUT 7200 ARGS --all)
  fault_test(crash_all test_crash LABELS slow CONFIGURATIONS Slow TIMEOUT 7200 ARGS --all)
endif()
