# The judge of generated digits: a program, and a test of the judge itself.
set(judge_dir ${CMAKE_CURRENT_LIST_DIR})
add_executable(judge ${judge_dir}/judge.c ${judge_dir}/pictures.c ${judge_dir}/classifier.c
  ${judge_dir}/verdict.c ${judge_dir}/self_test.c ${judge_dir}/../golden/st_file.c)
target_link_libraries(judge PRIVATE dfm_base PkgConfig::JANSSON m)
add_test(NAME judge_self_test COMMAND judge --self-test ${PROJECT_SOURCE_DIR}/models/data/digits.tar
  ${CMAKE_CURRENT_BINARY_DIR}/judge_scratch.safetensors)
set_tests_properties(judge_self_test PROPERTIES LABELS numeric TIMEOUT 300)
