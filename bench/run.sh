#!/usr/bin/env bash
# Measures the engine on the CPU side by side with ONNX Runtime.
#
#   bench/run.sh [REPEATS [SECONDS]]
#
# Every model we ship, batch 1 to 4096, 1 and 2 threads: REPEATS (5) runs of SECONDS (0.5) each, ours
# and the peer's in turn. Installs what is missing. Writes DATE-engine-cpu.json and .md into
# bench/results/ with the machine, the compiler, the flags and the commit.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "bench/run.sh"; exit 0 ;;
esac
repeats=${1:-5}
seconds=${2:-0.5}

scripts/install-deps.sh --build --test --data
cmake --preset release -D PRS_TESTS=ON >build/bench.log
cmake --build build/release --target bench_engine --parallel "$(scripts/jobs.sh)" >>build/bench.log

work=build/bench
mkdir -p "$work" bench/results
tests/conformance/ort/install.sh "$work"
target=$PWD/bench/results/$(date --utc +%Y-%m-%d)-engine-cpu
program=$PWD/build/release/bin/bench_engine
script=$PWD/bench/run.cjs
images=${PRS_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}/t10k-images-idx3-ubyte.gz
cd "$work"
node "$script" "$program" "$images" "$target" "$repeats" "$seconds"
echo "$target.md"
