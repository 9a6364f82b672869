# The kernel IR, kernelisation and the memory plan against the graph's interpreter.
if(TARGET dfm_lower AND TARGET dfm_pass)
  set(here ${CMAKE_CURRENT_LIST_DIR})
  set(shared ${here}/kt.c ${PROJECT_SOURCE_DIR}/compiler/truth/shadow.c ${here}/../autodiff/check.c ${here}/../autodiff/random_graph.c)
  foreach(t random ops rules memory)
    dfm_test(kir_${t} LABELS fast numeric SOURCES ${here}/test_kir_${t}.c ${shared}
      LIBS dfm_lower dfm_pass)
  endforeach()
endif()

if(COMMAND dfm_fuzz AND TARGET dfm_kir)
  dfm_fuzz(fuzz_kir SOURCES ${CMAKE_CURRENT_LIST_DIR}/fuzz_kir.c LIBS dfm_kir
    CORPUS ${CMAKE_CURRENT_LIST_DIR}/../fuzz/corpus/kir DICT ${CMAKE_CURRENT_LIST_DIR}/../fuzz/kir.dict
    MAX_LEN 16384)
endif()
