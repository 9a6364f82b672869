#!/usr/bin/env bash
# test.sh - on a fresh Debian 12: install what is missing, build, and run all tests that need no GPU.
#
#   ./test.sh            everything: release build and its tests, then the sanitizers and the fuzzers
#   ./test.sh fast       only the tests labelled fast
set -euo pipefail
cd "$(dirname "$0")"
. tests/tools/setup.sh

jobs=$(nproc)
export OMP_WAIT_POLICY=passive        # tests run side by side: waiting threads must not burn a core
need_packages $PACKAGES

build release -DDFM_WERROR=ON
if [ "${1:-all}" = fast ]; then
    exec ctest --test-dir build/release -L fast -j "$jobs" --output-on-failure
fi
ctest --test-dir build/release -j "$jobs" --output-on-failure

echo "== sanitizers: address, undefined behaviour"
build asan
ctest --test-dir build/asan -L fast -j "$jobs" --output-on-failure

echo "== fuzz targets, 30 s each from their seed corpus"
need_packages clang libclang-rt-14-dev libomp-14-dev
build fuzz
ctest --test-dir build/fuzz -L fuzz -j "$jobs" --output-on-failure
echo "== executions and coverage of each target"
awk '/^[0-9]+\/[0-9]+ Testing: /{name=$3} / cov: /{for(i=1;i<NF;i++) if($i=="cov:") cov[name]=$(i+1)}
     /number_of_executed_units/{runs[name]=$2} END{for(n in cov) print n ": " runs[n] " runs, cov " cov[n]}' \
    build/fuzz/Testing/Temporary/LastTest.log | sort
