# Gradients against finite differences of the interpreter.
if(TARGET dfm_pass)
  foreach(part fns ops views scan random remat)
    dfm_test(autodiff_${part} LABELS numeric
      SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_${part}.c ${CMAKE_CURRENT_LIST_DIR}/check.c
        ${CMAKE_CURRENT_LIST_DIR}/random_graph.c
      LIBS dfm_pass)
  endforeach()
endif()
