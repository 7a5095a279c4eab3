# Run by ctest: what a user of the installed library does, from `cmake --install` to a figure.
cmake_minimum_required(VERSION 3.22)

foreach(name ELBO_BINARY_DIR CONSUMER_DIR WORK_DIR CONFIG GENERATOR CXX_COMPILER)
  if(NOT ${name})
    message(FATAL_ERROR "package_test.cmake: -D ${name}=... is missing")
  endif()
endforeach()

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nfailed (${result}):\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${ELBO_BINARY_DIR} --config ${CONFIG} --prefix ${WORK_DIR}/first)
# Installed files that name their prefix break here.
file(RENAME ${WORK_DIR}/first ${WORK_DIR}/prefix)

run(${CMAKE_COMMAND} -S ${CONSUMER_DIR} -B ${WORK_DIR}/build -G ${GENERATOR}
    -D CMAKE_PREFIX_PATH=${WORK_DIR}/prefix -D CMAKE_BUILD_TYPE=${CONFIG}
    -D CMAKE_CXX_COMPILER=${CXX_COMPILER})
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build --config ${CONFIG})
run(${WORK_DIR}/build/consumer)

# KL(N(1, 1) || N(0, 1)) = 1/2
if(NOT output MATCHES "(^|\n)0\\.500000\n$")
  message(FATAL_ERROR "consumer printed '${output}'; expected '0.500000'")
endif()
message(STATUS "consumer printed ${output}")
