#!/usr/bin/env bash
# Measures whole runs of `prs-gpu run`, from files to the finished output, beside hand-written pipelines.
#
#   bench/end_to_end.sh [REPEATS]
#
# REPEATS (5) runs of each, in turn: 10,000 PNG files, an IDX and a NPY file of 60,000 images, every
# model, 1 and 2 workers, mini-batches of 1, 10 and 100. Rows are compared. Writes
# DATE-end-to-end.json and .md into bench/results/ with the machine, its load and the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  -h | --help) sed -n '2,8s/^# \{0,1\}//p' "bench/end_to_end.sh"; exit 0 ;;
esac
repeats=${1:-5}

scripts/install-deps.sh --build --test --data --bench
cmake --preset release -D PRS_TESTS=ON >build/bench.log
cmake --build build/release --target prs-gpu prs --parallel "$(scripts/jobs.sh)" >>build/bench.log

work=$PWD/build/bench/end_to_end
rm -rf "$work"
mkdir -p "$work" bench/results
trap 'rm -rf "$work"' EXIT
c++ -std=c++20 -O2 -Icore/include bench/peers/png_pipeline.cpp -o "$work/png_pipeline" \
  -Lbuild/release/lib -Wl,-rpath,"$PWD/build/release/lib" -lprs -lspng -lpng
target=$PWD/bench/results/$(date --utc +%Y-%m-%d)-end-to-end
node bench/end_to_end.cjs "$PWD/build/release/bin/prs-gpu" "$work" "$target" "$repeats"
echo "$target.md"
