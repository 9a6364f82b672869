# What of benchmarks/ can be tested without PyTorch and without measuring.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME benchmarks_compare COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_LIST_DIR}/test_compare.py
    ${PROJECT_SOURCE_DIR})
  set_tests_properties(benchmarks_compare PROPERTIES LABELS fast TIMEOUT 60)
endif()
