# Checks of the source tree itself: who includes whom, sizes, headers that stand alone.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  set(here ${CMAKE_CURRENT_LIST_DIR})
  add_test(NAME tree_layering COMMAND ${Python3_EXECUTABLE} ${here}/layering.py)
  add_test(NAME tree_layering_self_test COMMAND ${Python3_EXECUTABLE} ${here}/layering.py --self-test)
  add_test(NAME tree_syscalls COMMAND ${Python3_EXECUTABLE} ${here}/syscalls.py)
  add_test(NAME tree_syscalls_self_test COMMAND ${Python3_EXECUTABLE} ${here}/syscalls.py --self-test)
  add_test(NAME tree_sizes COMMAND ${Python3_EXECUTABLE} ${here}/sizes.py)
  add_test(NAME tree_headers COMMAND ${Python3_EXECUTABLE} ${here}/headers.py ${CMAKE_C_COMPILER}
    ${PROJECT_BINARY_DIR}/generated ${DNNL_INCLUDE} ${JANSSON_INCLUDE_DIRS} ${ARCHIVE_INCLUDE_DIRS})
  set_tests_properties(tree_layering tree_layering_self_test tree_sizes tree_headers
    tree_syscalls tree_syscalls_self_test PROPERTIES
    LABELS fast TIMEOUT 120)
endif()
