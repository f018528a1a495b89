#!/usr/bin/env bash
# scripts/bundle.sh: what it packs runs from wherever it is unpacked, on its own libraries.
#
#   bundle_test.sh SOURCE_FOLDER BUILD_FOLDER
set -euo pipefail

source=$1
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "bundle_test.sh: $1" >&2
  exit 1
}

"$source/scripts/bundle.sh" --build "$build" --images 10 "$work/bundle.tar.gz"
mkdir "$work/first"
tar -C "$work/first" -xzf "$work/bundle.tar.gz"
mv "$work/first/prs-gpu" "$work/a moved folder"
cd "$work/a moved folder"

# Only the C library's own come from the machine.
foreign=$(ldd bin/prs-gpu | sed -n 's/.* => \(.*\) (0x.*/\1/p' | grep -vF "$PWD/" |
  grep -vE '/(ld-linux[^/]*|libc|libm|libdl|libpthread|librt|libresolv|libutil)\.so' || true)
[[ -z $foreign ]] || fail "libraries from outside of the bundle: $foreign"
bin/prs-gpu --version | grep -q '^prs-gpu ' || fail "bin/prs-gpu --version says nothing"
if [[ -d images/fashion-mnist ]]; then
  rows=$(bin/prs-gpu score --model models/mlp.onnx --device cpu --format csv images/fashion-mnist |
    tail -n +2 | wc -l)
  [[ $rows -eq 10 ]] || fail "10 images gave $rows rows"
fi

# OpenCV is loaded when an image must be scaled: the bundle's own.
{
  printf 'P5\n14 14\n255\n'
  head -c 196 /dev/zero
} >small.pgm
LD_DEBUG=libs bin/prs-gpu score --model models/mlp.onnx --device cpu --resize small.pgm \
  >"$work/rows" 2>"$work/loaded"
grep -q '^small.pgm: ' "$work/rows" || fail "no row of an image that was scaled"
grep -F "calling init: $PWD/" "$work/loaded" >"$work/own" || true
grep -q libopencv_imgproc "$work/own" || fail "OpenCV is not the bundle's"

# Without a GPU the check has its own exit code, says why in one line, and leaves a report of what was
# not run. It needs no more of the machine than its base system.
code=0
env -i PATH=/usr/bin:/bin HOME="$work" CUDA_VISIBLE_DEVICES= scripts/gpu-check.sh "$work/report" \
  >"$work/checks" 2>"$work/errors" || code=$?
[[ $code -eq 69 ]] || fail "gpu-check.sh ended with $code: $(cat "$work/errors")"
[[ $(wc -l <"$work/errors") -eq 1 ]] || fail "more than one line: $(cat "$work/errors")"
grep -q '| kernels against their references: CudaKernels\* | not run: no GPU: ' "$work/report.md" ||
  fail "the report does not say what was not run: $(cat "$work/report.md")"
if [[ -d images/fashion-mnist ]]; then
  grep -q '| quantising mlp on the CPU | passed |' "$work/report.md" || fail "$(cat "$work/report.log")"
fi
grep -q '"gpu": "none: ' "$work/report.json" || fail "$(cat "$work/report.json")"
