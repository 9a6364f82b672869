# `dfmc test`: wrong gradients are found, right ones pass; the shipped models pass.
find_package(Python3 COMPONENTS Interpreter)
if(TARGET dfmc AND Python3_FOUND)
  add_test(NAME author_vjp COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/vjp.py
    $<TARGET_FILE:dfmc>)
  set_tests_properties(author_vjp PROPERTIES LABELS numeric TIMEOUT 300)
  foreach(model dit wan_1_3b novel ripple edm_xattn)
    add_test(NAME author_${model} COMMAND dfmc test ${PROJECT_SOURCE_DIR}/models/${model}.dfm -q)
    set_tests_properties(author_${model} PROPERTIES LABELS numeric TIMEOUT 300)
  endforeach()
endif()
