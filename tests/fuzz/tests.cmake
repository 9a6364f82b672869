# Fuzz targets, one per reader of foreign bytes. They are built with -DDFM_FUZZ=ON and clang
# (libFuzzer); ctest then runs each for DFM_FUZZ_SECONDS from its seed corpus, label `fuzz`.
#
#   dfm_fuzz(NAME SOURCES f ... LIBS lib ... CORPUS folder [DICT file] [MAX_LEN bytes])
#
# New inputs go to the build folder, the seed corpus is only read. A finding is written there as
# crash-*; run `NAME crash-...` to see it again.
if(DFM_FUZZ)
  set(DFM_FUZZ_SECONDS 30 CACHE STRING "Seconds that ctest runs each fuzz target")
  function(dfm_fuzz name)
    cmake_parse_arguments(A "" "CORPUS;DICT;MAX_LEN" "SOURCES;LIBS" ${ARGN})
    if(NOT A_MAX_LEN)
      set(A_MAX_LEN 4096)
    endif()
    if(A_DICT)
      set(A_DICT -dict=${A_DICT})
    endif()
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE dfm_flags ${A_LIBS} m)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set(found ${CMAKE_BINARY_DIR}/fuzz/${name})
    file(MAKE_DIRECTORY ${found}/corpus)
    add_test(NAME ${name} WORKING_DIRECTORY ${found}
      COMMAND ${name} -max_total_time=${DFM_FUZZ_SECONDS} -timeout=60 -rss_limit_mb=2048
              -max_len=${A_MAX_LEN} -print_final_stats=1 ${A_DICT} corpus ${A_CORPUS})
    math(EXPR limit "${DFM_FUZZ_SECONDS} + 120")
    set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${limit})
  endfunction()

  set(dir ${CMAKE_CURRENT_LIST_DIR})
  if(TARGET dfm_syntax)
    dfm_fuzz(fuzz_language SOURCES ${dir}/fuzz_language.c LIBS dfm_syntax
      CORPUS ${dir}/corpus/language DICT ${dir}/language.dict MAX_LEN 16384)
  endif()
endif()

if(COMMAND dfm_fuzz AND TARGET dfm_ir)
  set(dir ${CMAKE_CURRENT_LIST_DIR})
  dfm_fuzz(fuzz_ir_text SOURCES ${dir}/fuzz_ir_text.c LIBS dfm_ir
    CORPUS ${dir}/corpus/ir DICT ${dir}/ir.dict MAX_LEN 8192)
endif()
