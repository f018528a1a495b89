#!/usr/bin/env bash
# Measures whole runs of `prs-gpu run`, from files to the finished output, beside hand-written pipelines.
#
#   bench/end_to_end.sh [REPEATS]
#
# REPEATS (5) runs of each, in turn: folders of 10,000 and 60,000 PNG files, IDX and NPY files, every
# model, 1 and 2 workers, mini-batches of 1, 10 and 100. The peers: a pipeline of libspng and ONNX
# Runtime's C interface, the same with our engine, and PIL with TorchScript in Python. Rows are
# compared. Writes DATE-end-to-end.json and .md into bench/results/ with the machine, its load and
# the commit; takes about 6 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  -h | --help) sed -n '2,10s/^# \{0,1\}//p' "bench/end_to_end.sh"; exit 0 ;;
esac
repeats=${1:-5}

scripts/install-deps.sh --build --test --data --bench
cmake --preset release -D PRS_TESTS=ON >build/bench.log
cmake --build build/release --target prs-gpu prs --parallel "$(scripts/jobs.sh)" >>build/bench.log

work=$PWD/build/bench/end_to_end
rm -rf "$work"
mkdir -p "$work" bench/results
trap 'rm -rf "$work"' EXIT
tests/conformance/ort/install.sh "$work" >>build/bench.log 2>&1
ort=$work/node_modules/onnxruntime-node/bin/napi-v6/linux/$(node -p process.arch)
peer() { # KIND LINKER_ARGUMENTS...
  c++ -std=c++20 -O2 -Icore/include bench/peers/png_pipeline.cpp "bench/peers/png_scorer_$1.cpp" \
    -o "$work/pipeline_$1" -lspng -pthread "${@:2}"
}
peer ort "-L$ort" "-Wl,-rpath,$ort" -l:libonnxruntime.so.1
peer prs "-L$PWD/build/release/lib" "-Wl,-rpath,$PWD/build/release/lib" -lprs
# A search path of the shell's would be looked through for every library of every program.
unset LD_LIBRARY_PATH
target=$PWD/bench/results/$(date --utc +%Y-%m-%d)-end-to-end
node bench/end_to_end.cjs "$PWD/build/release/bin/prs-gpu" "$work" "$target" "$repeats"
echo "$target.md"
