# The plan container: round trip, each rule of the verifier, fuzzing.
set(here ${CMAKE_CURRENT_LIST_DIR})
if(TARGET dfm_plan)
  dfm_test(plan LABELS fast SOURCES ${here}/test_plan.c ${here}/sample_plan.c LIBS dfm_plan)
  if(COMMAND dfm_fuzz)
    dfm_fuzz(fuzz_plan SOURCES ${here}/fuzz_plan.c ${here}/sample_plan.c LIBS dfm_plan
      MAX_LEN 65536)
  endif()
endif()
