# Runs COMMAND (a list) and compares its exit code with CODE and the number of lines holding TEXT,
# in both outputs together, with COUNT.
string(REPLACE "|" ";" command "${COMMAND}")
execute_process(COMMAND ${command} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err TIMEOUT 60)
string(REGEX MATCHALL "${TEXT}" found "${out}${err}")
list(LENGTH found count)
if(NOT code STREQUAL CODE OR NOT count EQUAL COUNT)
  message(FATAL_ERROR
    "exit code ${code} (expected ${CODE}), '${TEXT}' ${count} times (expected ${COUNT})\n${out}${err}")
endif()
