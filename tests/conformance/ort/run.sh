#!/usr/bin/env bash
# run.sh DUMP_SCORES WORK_FOLDER: compares our scores with ONNX Runtime's on all 10,000 Fashion-MNIST
# test images for the three models, within 1e-4 of each image's largest logit.
#
# onnxruntime-node comes from npm into WORK_FOLDER and stays there for the next run. Without npm or
# the data the test is skipped (exit 77); with CI=true it fails.
set -euo pipefail
dump_scores=$(realpath "$1")
work=$2
here=$(cd "$(dirname "$0")" && pwd)
models=$here/../../../models
images=${PRS_FASHION_MNIST:-/usr/share/datasets/fashion-mnist}/t10k-images-idx3-ubyte.gz

missing() {
  echo "$1"
  [[ ${CI:-} == true ]] && exit 1
  exit 77
}
command -v node >/dev/null || missing "no node: scripts/install-deps.sh --test installs it"
command -v npm >/dev/null || missing "no npm: scripts/install-deps.sh --test installs it"
[[ -f $images ]] || missing "no $images: install Debian's dataset-fashion-mnist"

mkdir -p "$work"
cd "$work"
# The stamp holds the package.json that was installed last and completely.
if ! cmp -s "$here/package.json" installed.json; then
  cp "$here/package.json" package.json
  # No scripts: the CPU library for Linux is inside the package, scripts would fetch the GPU's.
  npm install --ignore-scripts --no-package-lock --no-audit --no-fund || missing "npm install failed"
  cp package.json installed.json
fi
pairs=()
for model in mlp lenet cnn; do
  "$dump_scores" "$models/$model.onnx" "$images" "$model.scores"
  pairs+=("$models/$model.onnx" "$model.scores")
done
node "$here/compare.cjs" "$images" 1e-4 "${pairs[@]}"
