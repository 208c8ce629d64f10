#!/usr/bin/env bash
# Unpacks the Debian packages that the build needs into .debs/root, for a machine where none can be
# installed. Download them first where there is a network: scripts/unpack_debian.sh --download, then
# take .debs/ along. Usage: scripts/unpack_debian.sh [--download]
set -euo pipefail
cd "$(dirname "$0")/.."
packages=(
  libopenmpi-dev openmpi-bin openmpi-common libopenmpi3 libhdf5-dev libyaml-cpp-dev libyaml-cpp0.7
  libopenblas-dev libopenblas0-pthread libopenblas-pthread-dev
  libfmt-dev libfmt9 nlohmann-json3-dev libcli11-dev libxxhash-dev libxxhash0
  libgtest-dev libgmock-dev googletest libbenchmark-dev libbenchmark1debian zlib1g-dev
)
mkdir -p .debs/packages .debs/root
if [[ ${1:-} == --download ]]; then
  # Everything they depend on that is not part of a plain system with a compiler.
  mapfile -t wanted < <(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
    --no-breaks --no-replaces --no-enhances "${packages[@]}" | grep '^\w' | sort -u |
    grep -E '^(lib(openmpi|hdf5|yaml-cpp|openblas|fmt|cli11|xxhash|gtest|gmock|benchmark|hwloc|pmix|event|munge|ltdl|gfortran|quadmath|sz|aec|fabric|ucx|psm|psm2|ibverbs|rdmacm|nl-)|openmpi|nlohmann|googletest|zlib1g-dev|mpi-default|ocl-icd)')
  (cd .debs/packages && apt-get download "${wanted[@]}")
fi
found=(.debs/packages/*.deb)
[[ -e ${found[0]} ]] || { echo "no packages in .debs/packages; run with --download where there is a network" >&2; exit 66; }
for package in "${found[@]}"; do dpkg-deb -x "$package" .debs/root; done
# What the packages' scripts would have done with update-alternatives.
library=.debs/root/usr/lib/x86_64-linux-gnu
for name in libopenblas.so libopenblas.so.0; do
  [[ -e $library/$name || ! -e $library/openblas-pthread/$name ]] || ln -s "openblas-pthread/$name" "$library/$name"
done
echo "unpacked ${#found[@]} packages; configure with scripts/gpu_check.sh, or" \
  "-DCMAKE_PREFIX_PATH=$PWD/.debs/root/usr -DCMAKE_LIBRARY_ARCHITECTURE=x86_64-linux-gnu"
