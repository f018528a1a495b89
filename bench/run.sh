#!/usr/bin/env bash
# Measures the engine on the CPU side by side with what else scores images there: ONNX Runtime,
# TorchScript, OpenCV DNN, and Eigen's matrix products as the floor.
#
#   bench/run.sh [--repeats N] [--seconds S] [--models M,..] [--batches N,..] [--threads N,..]
#                [--output PATH]
#
# Every model we ship, batch 1 to 4096, 1 and 2 threads, every precision that this machine has: N (5)
# runs of S (0.5) seconds each, ours and the peers' in turn. Writes PATH.json, PATH.md and PATH.svg
# (bench/results/DATE-engine-cpu) with the machine, the compiler and the commit; takes about half an hour.
# Installs what is missing: Debian packages of up to 400 MB and onnxruntime-node from npm. Exits with 1
# when scores disagree. bench/readme.sh then writes README's section.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  -h | --help) sed -n '2,13s/^# \{0,1\}//p' "bench/run.sh"; exit 0 ;;
esac

scripts/install-deps.sh --build --test --data --bench
build=build/peers work=build/bench
mkdir -p "$work" bench/results
{
  cmake -S . -B "$build" -G Ninja -D CMAKE_BUILD_TYPE=Release -D PRS_TESTS=ON -D PRS_PEERS=ON
  cmake --build "$build" --parallel "$(scripts/jobs.sh)" --target prs-gpu bench_engine \
    bench_torchscript bench_opencv bench_eigen
} >build/bench.log || { tail -n 20 build/bench.log >&2; exit 1; }

tests/conformance/ort/install.sh "$work"
root=$PWD
cd "$work"
node "$root/bench/run.cjs" "$root/$build/bin" \
  "${PRS_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}" "$@"
