# The programs in the documents are compiled.
find_package(Python3 COMPONENTS Interpreter)
if(TARGET dfmc AND Python3_FOUND)
  add_test(NAME docs_blocks COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/check_blocks.py
    $<TARGET_FILE:dfmc> ${PROJECT_SOURCE_DIR}/docs/language.md
    ${PROJECT_SOURCE_DIR}/docs/tour.md)
  set_tests_properties(docs_blocks PROPERTIES LABELS fast TIMEOUT 120)
endif()
