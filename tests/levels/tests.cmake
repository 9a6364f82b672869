if(TARGET dfm_driver)
  dfm_test(test_models LABELS numeric SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_models.c
    ${PROJECT_SOURCE_DIR}/tests/support/levels.c ${PROJECT_SOURCE_DIR}/tests/support/code_run.c
    LIBS dfm_driver dfm_cpu_gemm dl TIMEOUT 600)
endif()
