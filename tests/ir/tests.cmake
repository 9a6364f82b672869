# The graph IR and its own passes.
if(TARGET dfm_ir)
  set(here ${CMAKE_CURRENT_LIST_DIR})
  foreach(t index fold text)
    dfm_test(ir_${t} LABELS fast numeric
      SOURCES ${here}/test_ir_${t}.c ${here}/ir_random_graph.c LIBS dfm_ir)
  endforeach()
endif()
