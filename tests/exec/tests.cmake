# Plans executed: a plan made by hand, on every device.
set(here ${CMAKE_CURRENT_LIST_DIR})
if(TARGET dfm_exec)
  dfm_test(exec LABELS fast SOURCES ${here}/test_exec.c ${here}/toy_plan.c LIBS dfm_exec)
  add_executable(make_toy ${here}/make_toy.c ${here}/toy_plan.c)
  target_link_libraries(make_toy PRIVATE dfm_plan)
  target_compile_definitions(make_toy PRIVATE DFM_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endif()
