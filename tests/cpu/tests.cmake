if(TARGET dfm_codegen)
  dfm_test(test_cpu_code LABELS numeric SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cpu_code.c
    LIBS dfm_codegen dfm_kir dfm_ir dfm_cpu_gemm dfm_base)
  dfm_test(test_code_open LABELS fast SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_code_open.c
    LIBS dfm_codegen dfm_kir dfm_ir dfm_cpu_gemm dfm_base)
  dfm_test(test_cpu_fetch LABELS fast SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cpu_fetch.c
    LIBS dfm_codegen dfm_kir dfm_ir dfm_cpu_gemm dfm_base)
  dfm_test(test_cpu_attn LABELS numeric TIMEOUT 900 SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cpu_attn.c
    LIBS dfm_codegen dfm_kir dfm_ir dfm_cpu_gemm dfm_base OpenMP::OpenMP_C)
  dfm_test(test_cpu_product LABELS numeric TIMEOUT 900 SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cpu_product.c
    LIBS dfm_codegen dfm_kir dfm_ir dfm_base dl)
  dfm_test(test_cpu_gemm LABELS fast SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cpu_gemm.c
    LIBS dfm_cpu_gemm dfm_base)
  dfm_test(test_cpu_math LABELS fast SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_cpu_math.c LIBS dfm_base)
endif()
