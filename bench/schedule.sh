#!/usr/bin/env bash
# Measures the scheduler: mini-batches per second through `prs-gpu run` with an entry that does nothing.
#
#   bench/schedule.sh [REPEATS]
#
# REPEATS (5) runs of each: mini-batches of 1 and 10 files on 1, 2 and 8 workers, in turn; a folder of a
# million files; memory per mini-batch; the decisions alone for 1 to 10,000 nodes. Writes
# DATE-schedule.json and .md into bench/results/ with the machine, the compiler and the commit. Takes
# some minutes, and 5 GB below build/ for the million files (left out when less is free).
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "bench/schedule.sh"; exit 0 ;;
esac
repeats=${1:-5}

scripts/install-deps.sh --build --test
cmake --preset release -D PRS_TESTS=ON >build/bench.log
cmake --build build/release --target prs-gpu null_plugin bench_job \
  --parallel "$(scripts/jobs.sh)" >>build/bench.log

work=$PWD/build/bench/schedule
rm -rf "$work"
mkdir -p "$work" bench/results
trap 'rm -rf "$work"' EXIT
target=$PWD/bench/results/$(date --utc +%Y-%m-%d)-schedule
node bench/schedule.cjs "$PWD/build/release" "$work" "$target" "$repeats"
echo "$target.md"
