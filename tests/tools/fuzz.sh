#!/usr/bin/env bash
# fuzz.sh BUILD SECONDS - run every fuzz target of a build from its seed corpus; two at a time.
# Prints executions and coverage of each; fails at the first finding.
set -euo pipefail
build=$1 seconds=$2
root=$(cd "$(dirname "$0")/../.." && pwd)
list=$(find "$build" -type f -name 'fuzz_*' -perm -u+x ! -name '*.c' | sort)
[ -n "$list" ] || { echo "no fuzz targets in $build"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

one() {
    local target=$1 name=${1##*/fuzz_} log="$work/${1##*/}.log" corpus="$work/${1##*/}" dict=""
    mkdir -p "$corpus"
    local seed="$root/tests/fuzz/corpus/$name"
    [ -f "$root/tests/fuzz/$name.dict" ] && dict="-dict=$root/tests/fuzz/$name.dict"
    if ! "$target" $dict -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$work/" "$corpus" $([ -d "$seed" ] && echo "$seed") >"$log" 2>&1; then
        tail -40 "$log"
        echo "fuzz_$name: FOUND"
        for f in "$work"/crash-* "$work"/timeout-* "$work"/oom-* "$work"/leak-*; do
            [ -f "$f" ] && { echo "input in base64 (${f##*/}):"; base64 "$f" | head -40; }
        done
        return 1
    fi
    local runs cov
    runs=$(sed -n 's/stat::number_of_executed_units: *//p' "$log")
    cov=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
    echo "fuzz_$name: ${runs:-?} runs, ${cov:-cov: ?}"
}

status=0
running=()
for t in $list; do
    one "$t" &
    running+=($!)
    if [ ${#running[@]} -ge 2 ]; then
        wait "${running[0]}" || status=1
        running=("${running[@]:1}")
    fi
done
for p in "${running[@]}"; do wait "$p" || status=1; done
exit $status
