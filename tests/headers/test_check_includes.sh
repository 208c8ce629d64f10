#!/usr/bin/env bash
# The include check finds what it is for: a clean tree passes, every kind of breach is listed with
# its file and line, and nothing else is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{solver,kernels/{api,cpu,cuda},pipeline/{comm,config,stages,new_folder}}

add() { printf '%s\n' "${@:2}" >"$tree/$1"; }

add pipeline/comm/mpi_session.cpp '#include <mpi.h>' '' '#include <vector>' \
  '#include "pipeline/comm/session.hpp"' '#include "pipeline/failure.hpp"'
add pipeline/stages/good.cpp '// #include <mpi.h>' '#include <cstdint>' \
  '#include "solver/check_solution.hpp"' '#include "kernels/api/backend.hpp"'
add kernels/make_backend.cpp '#ifdef SHARDQUANT_WITH_CUDA' '#include "kernels/cuda/x.hpp"' '#endif'
if ! "$here/check_includes.sh" "$tree"; then
  echo "a clean tree was refused"
  exit 1
fi

add solver/a.cpp '#include <fmt/format.h>' '#include "pipeline/failure.hpp"'
add pipeline/comm/local.cpp '#include <cstdint>' '#  include <mpi.h>'
add pipeline/config/b.hpp '#include "pipeline/comm/session.hpp"'
add pipeline/stages/c.cpp '#include <yaml-cpp/yaml.h>' '#include "kernels/cpu/cpu_backend.hpp"' \
  '#include "tests/support/temp_directory.hpp"' '#include "good.hpp"' '#ifdef WITH_GPU' '#endif'
add kernels/cpu/d.cpp '#include "kernels/cuda/launchers.hpp"' '#include HEADER'
add kernels/api/e.hpp '#include <cuda_runtime.h>'
add pipeline/new_folder/f.cpp 'int f();'
expected='kernels/api/e.hpp:1
kernels/cpu/d.cpp:1
kernels/cpu/d.cpp:2
pipeline/comm/local.cpp:2
pipeline/config/b.hpp:1
pipeline/new_folder/f.cpp:0
pipeline/stages/c.cpp:1
pipeline/stages/c.cpp:2
pipeline/stages/c.cpp:3
pipeline/stages/c.cpp:4
pipeline/stages/c.cpp:5
solver/a.cpp:1
solver/a.cpp:2'
if found=$("$here/check_includes.sh" "$tree"); then
  echo "breaches passed"
  exit 1
fi
if ! diff <(echo "$expected") <(cut -d: -f1,2 <<<"$found"); then
  echo "$found"
  exit 1
fi
