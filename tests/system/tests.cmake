# The two programs as their users run them. Each script works in folders of its own under $TMPDIR.
find_package(Python3 COMPONENTS Interpreter)
set(system_dir ${CMAKE_CURRENT_LIST_DIR})

# system_test(NAME LABELS l ... [TIMEOUT s] [ARGS word ...] [CONFIGURATIONS c]): tests/system/test_NAME.py
function(system_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "LABELS;ARGS;CONFIGURATIONS" ${ARGN})
  if(A_CONFIGURATIONS)
    set(A_CONFIGURATIONS CONFIGURATIONS ${A_CONFIGURATIONS})
  endif()
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  add_test(NAME system_${name} ${A_CONFIGURATIONS} COMMAND ${Python3_EXECUTABLE} -B
    ${system_dir}/test_${name}.py --source ${PROJECT_SOURCE_DIR}
    --bin $<TARGET_FILE:dfmc> $<TARGET_FILE:dfm-rt> ${A_ARGS})
  set_tests_properties(system_${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT})
endfunction()

if(TARGET dfmc AND TARGET dfm-rt AND Python3_FOUND)
  # Kernels that one test has compiled serve the others; tests of compilation itself use --no-cache.
  set(cache --cache ${PROJECT_BINARY_DIR}/test-cache)
  system_test(docs LABELS fast)
  system_test(bad_program LABELS fast ARGS ${cache})
  system_test(bad_run LABELS fast ARGS ${cache})
  system_test(bad_plan LABELS fast ARGS ${cache})
  system_test(attacks LABELS numeric ARGS ${cache})
  system_test(resume LABELS numeric ARGS ${cache})
  system_test(same_bytes LABELS fast ARGS ${cache})
  system_test(no_model_knowledge LABELS fast ARGS ${cache})
  system_test(commands LABELS fast ARGS ${cache})
  system_test(budget LABELS fast ARGS ${cache})
  system_test(memory LABELS numeric ARGS ${cache})
  system_test(compile_time LABELS numeric)
  system_test(training LABELS numeric ARGS ${cache})
  # Only on demand: ctest -C Slow -R system_kills, system_digits
  system_test(kills LABELS slow CONFIGURATIONS Slow TIMEOUT 3600 ARGS ${cache})
  system_test(digits LABELS slow CONFIGURATIONS Slow TIMEOUT 3600 ARGS ${cache})
  set_tests_properties(system_digits PROPERTIES ENVIRONMENT DFM_JUDGE=$<TARGET_FILE:judge>)
  # It measures memory: it wants the machine for itself.
  set_tests_properties(system_memory PROPERTIES RUN_SERIAL ON)
  set_tests_properties(system_commands PROPERTIES
    ENVIRONMENT DFM_BUILD_FOLDER=${PROJECT_BINARY_DIR})
endif()
