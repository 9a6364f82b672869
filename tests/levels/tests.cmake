if(TARGET dfm_driver)
  dfm_test(test_models LABELS numeric SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_models.c
    LIBS dfm_driver TIMEOUT 600)
endif()
