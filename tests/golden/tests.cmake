# Tools around golden tensors, their test, and every golden on the compiled programs.
set(golden_dir ${CMAKE_CURRENT_LIST_DIR})
foreach(tool compare_st st_extract)
  add_executable(${tool} ${golden_dir}/${tool}.c ${golden_dir}/st_file.c)
  target_link_libraries(${tool} PRIVATE dfm_base PkgConfig::JANSSON m)
endforeach()

add_test(NAME golden_tools COMMAND ${CMAKE_COMMAND} -D COMPARE=$<TARGET_FILE:compare_st>
  -D EXTRACT=$<TARGET_FILE:st_extract> -D GOLDEN=${golden_dir}/dit_small
  -D SCRATCH=${CMAKE_CURRENT_BINARY_DIR}/golden_scratch.safetensors
  -P ${golden_dir}/test_tools.cmake)
set_tests_properties(golden_tools PROPERTIES LABELS fast TIMEOUT 60)

if(TARGET dfmc AND TARGET dfm-rt)
  file(GLOB goldens CONFIGURE_DEPENDS ${golden_dir}/*.safetensors)
  foreach(golden ${goldens})
    get_filename_component(name ${golden} NAME_WE)
    foreach(precision f32 bf16)
      add_test(NAME golden_${name}_${precision} COMMAND python3 ${golden_dir}/run_golden.py
        ${golden} ${precision} --source ${PROJECT_SOURCE_DIR} --bin $<TARGET_FILE:dfmc>
        $<TARGET_FILE:dfm-rt> $<TARGET_FILE:st_extract> $<TARGET_FILE:compare_st>)
      set_tests_properties(golden_${name}_${precision} PROPERTIES LABELS numeric TIMEOUT 300)
    endforeach()
  endforeach()
  # bf16 on processors that have no instructions for it
  foreach(name dit_small wan_small)
    add_test(NAME golden_${name}_bf16_avx2 COMMAND python3 ${golden_dir}/run_golden.py
      ${golden_dir}/${name}.safetensors bf16 --target cpu:x86-64-v3 --source ${PROJECT_SOURCE_DIR}
      --bin $<TARGET_FILE:dfmc> $<TARGET_FILE:dfm-rt> $<TARGET_FILE:st_extract>
      $<TARGET_FILE:compare_st>)
    set_tests_properties(golden_${name}_bf16_avx2 PROPERTIES LABELS numeric TIMEOUT 300)
  endforeach()
endif()
