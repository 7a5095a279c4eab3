# Runs PROGRAM and compares the last line it prints with SOURCE's first line, "// Expected: ...".
file(STRINGS ${SOURCE} first LIMIT_COUNT 1)
string(REGEX REPLACE "^// Expected: " "" expected "${first}")
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE output RESULT_VARIABLE code)
string(STRIP "${output}" output)
string(REGEX REPLACE "^.*\n" "" last "${output}")
if(NOT code EQUAL 0 OR NOT last STREQUAL expected)
  message(FATAL_ERROR "exit ${code}; last line '${last}'; expected '${expected}'")
endif()
