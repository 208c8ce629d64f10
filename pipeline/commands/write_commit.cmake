# Writes the source with the commit, where it is another than the last one. Called at every build.
# cmake -DSOURCE=DIR -DOUT=FILE -P write_commit.cmake
set(commit "")
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE fault)
if(fault OR commit STREQUAL "")
  # An archive made by git has its commit in here.
  file(STRINGS ${SOURCE}/scripts/install/archived_commit.txt commit LIMIT_COUNT 1)
  if(commit MATCHES "Format")
    set(commit unknown)
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT [[
#include "pipeline/commands/build_facts.hpp"

const char* shardquant::commands::build_commit() {
  return "@commit@";
}
]] @ONLY)
