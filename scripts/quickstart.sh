#!/usr/bin/env bash
# Builds prs-gpu and scores 10,000 real images with it.
#
#   scripts/quickstart.sh
#
# Installs the Debian packages that are missing (asks nothing), builds the program into
# build/release, writes the test images of Fashion-MNIST as PNG files, scores them with
# models/lenet.onnx on worker processes and tells accuracy, duration and where the output lies. A
# second call only scores.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
  "") ;;
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "scripts/quickstart.sh"; exit 0 ;;
  *) echo "quickstart.sh: unknown argument $1; see --help" >&2; exit 2 ;;
esac

program=build/release/bin/prs-gpu
model=models/lenet.onnx
data=build/fashion-mnist
images=$data/images
step=examples/fashion-mnist/step-png.yml
runs=build/runs/fashion-mnist-png
source=/usr/share/datasets/fashion-mnist
log=build/quickstart.log
mkdir -p "$data"
: >"$log"

# step TEXT COMMAND...: runs a command with its output in the log, shows ninja's counter on a
# terminal, and the end of the log on failure.
step() {
  local text=$1 start=$SECONDS line
  shift
  printf '%s ...' "$text"
  if ! "$@" 2>&1 | tee -a "$log" | while IFS= read -r line; do
    if [[ -t 1 && $line =~ ^(\[[0-9]+/[0-9]+\]) ]]; then
      printf '\r%s ... %s' "$text" "${BASH_REMATCH[1]}"
    fi
  done; then
    printf ' failed\n\n'
    tail -n 30 "$log"
    printf '\nThe whole log: %s\n' "$PWD/$log"
    exit 1
  fi
  printf ' done in %d s\n' $((SECONDS - start))
}

export_images() {
  rm -rf "$images.partial"
  "$program" export-images "$source/t10k-images-idx3-ubyte.gz" --output "$images.partial" \
    --labels "$source/t10k-labels-idx1-ubyte.gz"
  mv "$images.partial" "$images"
}

scripts/install-deps.sh --build --data
if [[ ! -f build/release/build.ninja ]]; then
  step "Configuring" cmake --preset release -D PRS_TESTS=OFF -D PRS_TOGETHER=ON
  sed -n 's/^-- CUDA: /GPU part: CUDA /p' "$log" | sed 's/CUDA not built/not built/'
fi
build=(cmake --build build/release --target prs-gpu --parallel "$(scripts/jobs.sh)")
if [[ -x $program ]]; then
  step "Bringing prs-gpu up to date" "${build[@]}"
else
  step "Building prs-gpu, which takes minutes the first time" "${build[@]}"
fi
if [[ ! -d $images ]]; then
  step "Writing 10,000 images to $images" export_images
fi

echo "Scoring them with $model: prs-gpu run $step"
"$program" run "$step" --overwrite 2>&1 | tee -a "$log"
"$program" --log-level warn evaluate --model "$model" --labels "$images/labels.csv" "$images" \
  >"$data/evaluation.txt"
head -n 1 "$data/evaluation.txt"
echo
echo "output:     $runs/fashion-mnist.txt (one line an image: name: class)"
echo "logs:       $runs/logs"
echo "evaluation: $data/evaluation.txt (per class, confusion matrix)"
echo "program:    $program --help"
