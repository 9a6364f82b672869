# The standard library, index ops, sections and shipped models, by the interpreter.
if(TARGET dfm_front AND TARGET dfm_pass)
  set(here ${CMAKE_CURRENT_LIST_DIR})
  foreach(name std ops sections same)
    dfm_test(sema2_${name} LABELS fast SOURCES ${here}/test_${name}.c ${here}/harness.c
      LIBS dfm_front)
  endforeach()
  dfm_test(sema2_models LABELS numeric SOURCES ${here}/test_models.c ${here}/harness.c
    ${here}/../golden/st_file.c LIBS dfm_front dfm_pass PkgConfig::JANSSON)
endif()
