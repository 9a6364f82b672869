# Semantic analysis: reports, dims, graphs, parameter counts.
if(TARGET dfm_front)
  foreach(name errors dims graphs mutants)
    dfm_test(sema_${name}_test LABELS fast SOURCES ${CMAKE_CURRENT_LIST_DIR}/sema_${name}_test.c
      LIBS dfm_front)
  endforeach()
endif()

if(COMMAND dfm_fuzz AND TARGET dfm_front)
  set(here ${CMAKE_CURRENT_LIST_DIR})
  dfm_fuzz(fuzz_front SOURCES ${here}/fuzz_front.c LIBS dfm_front CORPUS ${here}/errors
    DICT ${here}/../fuzz/language.dict MAX_LEN 4096)
  target_compile_definitions(fuzz_front PRIVATE DFM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endif()
