# Runtime leaf modules: random numbers, checkpoints, data, metrics, configuration.
set(here ${CMAKE_CURRENT_LIST_DIR})

# The same draws for every set of flags: no fma instruction, and whatever this machine has.
dfm_test(rt_philox LABELS fast SOURCES ${here}/test_philox.c LIBS dfm_base)
dfm_test(rt_philox_native LABELS fast SOURCES ${here}/test_philox.c LIBS dfm_base)
if(TARGET rt_philox_native)
  target_compile_options(rt_philox_native PRIVATE -O3 -march=native)
  target_compile_options(rt_philox PRIVATE -O1)
endif()

if(TARGET dfm_ckpt)
  dfm_test(rt_safetensors LABELS fast SOURCES ${here}/test_safetensors.c LIBS dfm_ckpt)
  dfm_test(rt_ckpt LABELS fast SOURCES ${here}/test_ckpt.c LIBS dfm_ckpt)
  dfm_test(rt_ckpt_faults LABELS fast SOURCES ${here}/test_ckpt_faults.c LIBS dfm_ckpt)
  if(TARGET rt_ckpt_faults)
    target_link_options(rt_ckpt_faults PRIVATE
      -Wl,--wrap=write,--wrap=fsync,--wrap=rename,--wrap=mkdir,--wrap=close)
  endif()
endif()

if(TARGET dfm_data)
  dfm_test(rt_npy LABELS fast SOURCES ${here}/test_npy.c LIBS dfm_data)
  dfm_test(rt_wds LABELS fast SOURCES ${here}/test_wds.c LIBS dfm_data)
  dfm_test(rt_dataset LABELS fast SOURCES ${here}/test_dataset.c LIBS dfm_data)
endif()

if(TARGET dfm_metrics)
  dfm_test(rt_metrics LABELS fast SOURCES ${here}/test_metrics.c LIBS dfm_metrics)
endif()

if(TARGET dfm_config)
  dfm_test(rt_config LABELS fast SOURCES ${here}/test_config.c LIBS dfm_config)
endif()

if(TARGET dfm_config AND TARGET dfm_ckpt AND TARGET dfm_data)
  dfm_test(rt_attacks LABELS fast SOURCES ${here}/test_attacks.c
    LIBS dfm_config dfm_ckpt dfm_data)
endif()

# Fuzz targets start from the hostile files. See tests/fuzz/tests.cmake for dfm_fuzz.
if(COMMAND dfm_fuzz)
  set(attacks ${here}/../attacks)
  set(json ${here}/../fuzz/json.dict)
  if(TARGET dfm_ckpt)
    dfm_fuzz(fuzz_safetensors SOURCES ${here}/fuzz_safetensors.c LIBS dfm_ckpt
      CORPUS ${attacks}/safetensors DICT ${json})
    dfm_fuzz(fuzz_index SOURCES ${here}/fuzz_index.c LIBS dfm_ckpt CORPUS ${attacks}/index
      DICT ${json})
    dfm_fuzz(fuzz_manifest SOURCES ${here}/fuzz_manifest.c LIBS dfm_ckpt
      CORPUS ${here}/../fuzz/corpus/manifest DICT ${json})
  endif()
  if(TARGET dfm_rt)
    dfm_fuzz(fuzz_state SOURCES ${here}/fuzz_state.c LIBS dfm_rt
      CORPUS ${here}/../fuzz/corpus/state DICT ${json})
  endif()
  if(TARGET dfm_data)
    dfm_fuzz(fuzz_npy SOURCES ${here}/fuzz_npy.c LIBS dfm_data CORPUS ${attacks}/npy)
    dfm_fuzz(fuzz_tar SOURCES ${here}/fuzz_tar.c LIBS dfm_data CORPUS ${attacks}/tar MAX_LEN 16384)
    dfm_fuzz(fuzz_member SOURCES ${here}/fuzz_member.c LIBS dfm_data
      CORPUS ${here}/../fuzz/corpus/member DICT ${json})
  endif()
  if(TARGET dfm_config AND TARGET dfm_data)
    dfm_fuzz(fuzz_override SOURCES ${here}/fuzz_override.c LIBS dfm_config dfm_data
      CORPUS ${here}/../fuzz/corpus/override DICT ${here}/../fuzz/config.dict)
  endif()
  if(TARGET dfm_config)
    dfm_fuzz(fuzz_config SOURCES ${here}/fuzz_config.c LIBS dfm_config CORPUS ${attacks}/yaml
      DICT ${here}/../fuzz/config.dict)
  endif()
endif()
