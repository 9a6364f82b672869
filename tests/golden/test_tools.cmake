# The comparison can fail: run the tools on a golden and look at their exit statuses.
# cmake -D COMPARE=... -D EXTRACT=... -D GOLDEN=... -D SCRATCH=... -P test_tools.cmake
function(expect status)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE got OUTPUT_VARIABLE out ERROR_VARIABLE out)
  if(NOT got STREQUAL status)
    string(REPLACE ";" " " line "${ARGN}")
    message(FATAL_ERROR "status ${got} instead of ${status}: ${line}\n${out}")
  endif()
endfunction()

expect(0 ${COMPARE} ${GOLDEN}.safetensors ${GOLDEN}.safetensors --limits ${GOLDEN}.json)
expect(0 ${EXTRACT} ${GOLDEN}.safetensors train. ${SCRATCH})
expect(0 ${COMPARE} ${SCRATCH} ${GOLDEN}.safetensors --only train. --map train.=)
# Other values, missing tensors, other shapes, nothing to compare, no such file, no such limits.
expect(1 ${COMPARE} ${GOLDEN}.safetensors ${GOLDEN}.safetensors --only grad. --map grad.=w.)
expect(1 ${COMPARE} ${SCRATCH} ${GOLDEN}.safetensors --only train. --only out --map train.=)
expect(1 ${COMPARE} ${SCRATCH} ${GOLDEN}.safetensors --only train.t --map train.t=label)
expect(1 ${COMPARE} ${SCRATCH} ${GOLDEN}.safetensors --only train.x0 --map train.x0=t)
expect(2 ${COMPARE} ${SCRATCH} ${GOLDEN}.safetensors --only nothing)
expect(2 ${COMPARE} ${SCRATCH}.none ${GOLDEN}.safetensors)
expect(2 ${COMPARE} ${SCRATCH} ${GOLDEN}.safetensors --limits ${GOLDEN}.json --limits-key none)
expect(1 ${EXTRACT} ${GOLDEN}.safetensors nothing. ${SCRATCH})
# A large difference passes a large limit.
expect(0 ${COMPARE} ${GOLDEN}.safetensors ${GOLDEN}.safetensors --only train.eps
       --map train.eps=train.x0 --limit 10)
