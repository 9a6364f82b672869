# Semantic analysis: reports, dims, graphs, parameter counts.
if(TARGET dfm_front)
  foreach(name errors dims graphs mutants)
    dfm_test(sema_${name}_test LABELS fast SOURCES ${CMAKE_CURRENT_LIST_DIR}/sema_${name}_test.c
      LIBS dfm_front)
  endforeach()
endif()
