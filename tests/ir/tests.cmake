# The graph IR and its own passes.
if(TARGET dfm_ir)
  set(here ${CMAKE_CURRENT_LIST_DIR})
  foreach(t index fold text verify eval interp)
    dfm_test(ir_${t} LABELS fast numeric
      SOURCES ${here}/test_ir_${t}.c ${here}/ir_random_graph.c LIBS dfm_ir)
  endforeach()
  if(TARGET dfm_pass)
    dfm_test(ir_passes LABELS fast numeric
      SOURCES ${here}/test_ir_passes.c ${here}/ir_random_graph.c LIBS dfm_pass)
  endif()
endif()
