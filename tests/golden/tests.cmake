# Tools around golden tensors: compare results with them, take golden files apart.
set(golden_dir ${CMAKE_CURRENT_LIST_DIR})
foreach(tool compare_st st_extract)
  add_executable(${tool} ${golden_dir}/${tool}.c ${golden_dir}/st_file.c)
  target_link_libraries(${tool} PRIVATE dfm_base PkgConfig::JANSSON m)
endforeach()
