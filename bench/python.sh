#!/usr/bin/env bash
# Measures what a Python entry script costs beside the user's own work.
#
#   bench/python.sh [REPEATS]
#
# REPEATS (5) runs of each, in turn: mini-batches of 10 paths through a script that returns them
# (bench/python/noop.py), through the same in C (noop.c), and through Python's multiprocessing.Pool; a
# CSV file in chunks of 1 MB to DataFrames, and pandas.read_csv over one chunk. Writes DATE-python.json
# and .md into bench/results/ with the machine, the compiler and the commit. Takes about a minute.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "bench/python.sh"; exit 0 ;;
esac
repeats=${1:-5}

scripts/install-deps.sh --build --test
cmake --preset release -D PRS_TESTS=ON >build/bench.log
cmake --build build/release --target prs-gpu --parallel "$(scripts/jobs.sh)" >>build/bench.log

work=$PWD/build/bench/python
rm -rf "$work"
mkdir -p "$work" bench/results
trap 'rm -rf "$work"' EXIT
cc -O2 -shared -fPIC -Ischeduler/include bench/python/noop.c -o "$work/noop.so"
target=$PWD/bench/results/$(date --utc +%Y-%m-%d)-python
node bench/python.cjs "$PWD/build/release" "$work" "$target" "$repeats"
echo "$target.md"
