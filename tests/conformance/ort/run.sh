#!/usr/bin/env bash
# run.sh BENCH_ENGINE PRS_GPU WORK_FOLDER: compares our scores with ONNX Runtime's on all 10,000
# Fashion-MNIST test images for the three models, within 1e-4 of each image's largest logit; and those
# of the models that `prs-gpu quantize` makes of them, computed in 8-bit integers by both.
#
# onnxruntime-node comes from npm into WORK_FOLDER and stays there for the next run. Without npm or
# the data the test is skipped (exit 77); with CI=true it fails.
set -euo pipefail
bench_engine=$(realpath "$1")
prs_gpu=$(realpath "$2")
work=$3
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../../models
images=${PRS_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}/t10k-images-idx3-ubyte.gz

missing() {
  echo "$1"
  [[ ${CI:-} == true ]] && exit 1
  exit 77
}
[[ -f $images ]] || missing "no $images: install Debian's dataset-fashion-mnist"

mkdir -p "$work"
cd "$work"
"$here/install.sh" . || missing "ONNX Runtime could not be installed"
pairs=()
quantized=()
for model in mlp lenet cnn; do
  echo "scores 256 $model.scores" | "$bench_engine" "$models/$model.onnx" "$images" 2
  pairs+=("$models/$model.onnx" "$model.scores")
  "$prs_gpu" quantize "$models/$model.onnx" --calibrate "$images" --output "$model.int8.onnx" --overwrite
  echo "scores 256 $model.int8.scores" | "$bench_engine" "$model.int8.onnx" "$images" 2 int8
  quantized+=("$model.int8.onnx" "$model.int8.scores")
done
node "$here/compare.cjs" "$images" 1e-4 1 "${pairs[@]}"
# Without these instructions ONNX Runtime's sums of 8-bit products saturate: no truth to compare with.
if grep -qE 'avx512_vnni|avx_vnni' /proc/cpuinfo; then
  # Which of two steps a value between them is rounded to may differ, and later layers build on it.
  node "$here/compare.cjs" "$images" 0.02 0.995 "${quantized[@]}"
fi
