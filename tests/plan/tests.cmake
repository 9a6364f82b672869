# The plan container: round trip, each rule of the verifier, fuzzing.
set(here ${CMAKE_CURRENT_LIST_DIR})
if(TARGET dfm_plan)
  dfm_test(plan LABELS fast SOURCES ${here}/test_plan.c ${here}/sample_plan.c LIBS dfm_plan)
  add_executable(plan_make_corpus ${here}/make_corpus.c ${here}/sample_plan.c)
  target_link_libraries(plan_make_corpus PRIVATE dfm_plan)
endif()
