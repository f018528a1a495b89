#!/usr/bin/env bash
# Checks the GPU part on a machine with a GPU; needs no package registry, no compiler and no network.
#
#   scripts/gpu-check.sh [REPORT]
#
# Runs from an unpacked bundle (scripts/bundle.sh) or after a build in build/release. Every kernel
# against its reference on the GPU; the same under compute-sanitizer's four tools, where that is
# installed; the classes of images scored by GPU and CPU; the speed of every model's kernels, and of
# PyTorch where python3 has torch and onnx. Writes REPORT.json and REPORT.md (default: gpu-check), and
# what each step printed into REPORT.log. scripts/gpu-status.sh makes docs/gpu-status.md's table of
# such reports.
#
# Programs are taken from PRS_GPU_CHECK_PROGRAMS when that is set. A program of the test build, whose
# GPU is emulated, gets a short check; the report says so and counts for nothing.
#
# Exit code: 0 all is well, 1 something is not, 2 usage, 69 there is no GPU to check.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "gpu-check.sh: unknown option $1; see --help" >&2; exit 2 ;;
esac
report=${1:-gpu-check}
top=$(cd "$(dirname "$0")/.." && pwd)
programs=${PRS_GPU_CHECK_PROGRAMS:-$top/bin}
[[ -x $programs/prs-gpu ]] || programs=$top/build/release/bin
for program in prs-gpu unit_cuda_parity; do
  [[ -x $programs/$program ]] || {
    echo "gpu-check.sh: $programs/$program is missing: run it from a bundle or a build" >&2
    exit 2
  }
done

version=$("$programs/prs-gpu" --version)
field() { sed -n "s/^ *$1  *//p" <<<"$version"; }
gpu=$(field GPU)
if [[ $gpu == none:* ]]; then
  echo "gpu-check.sh: no GPU to check: ${gpu#none: }" >&2
  exit 69
fi

log=$report.log
: >"$log"
names=()
results=()
failed=0
# check NAME COMMAND...: notes whether the command succeeds; its output goes to the log.
check() {
  local name=$1 result=passed
  shift
  printf '== %s\n' "$name" >>"$log"
  if ! "$@" >>"$log" 2>&1; then
    result=failed
    failed=1
  fi
  names+=("$name")
  results+=("$result")
  printf '%-12s %s\n' "$result" "$name"
}
skip() {
  names+=("$1")
  results+=("skipped: $2")
  printf '%-12s %s (%s)\n' skipped "$1" "$2"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PRS_MODELS_FOLDER=$top/models
emulated=false
seconds=0.5
batches=1,64,1024,16384
bench_models='mlp lenet cnn'
precisions='fp32 tf32 bf16 fp16'
kernels='Fused*:CudaKernels*:CudaPrecisions*'
models='*CudaModel*'
if [[ $gpu == *'emulated on the CPU'* ]]; then
  emulated=true
  seconds=0
  batches=1,3
  bench_models='mlp lenet'
  precisions='fp32 bf16'
  kernels='CudaKernels.Peaks*:FusedMlp.EndsInTheBestClass'
  models='CudaModelPrecisions*'
else
  export PRS_TEST_GPU=1 PRS_REQUIRE_GPU=1
fi

# What a test launched is verified when the test passes.
verify() { # NAME FILTER
  PRS_TEST_KERNELS=$work/launched check "$1" "$programs/unit_cuda_parity" --gtest_filter="$2"
  [[ ${results[-1]} != passed ]] || cat "$work/launched" >>"$work/verified"
}
: >"$work/verified"
verify "kernels against their references" "$kernels"
verify "models against the CPU" "$models"

for tool in memcheck racecheck initcheck synccheck; do
  if [[ $emulated == true ]]; then
    skip "compute-sanitizer $tool" "the emulation detects by itself"
  elif command -v compute-sanitizer >/dev/null; then
    check "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$programs/unit_cuda_parity" --gtest_filter="$kernels"
  else
    skip "compute-sanitizer $tool" "compute-sanitizer is not installed"
  fi
done

# The class of every image, by both devices. Of close scores another may win: one in 500.
# shellcheck disable=SC2317
classes() { # DEVICE PRECISION MODEL
  "$programs/prs-gpu" score --model "$top/models/$3.onnx" --device "$1" --precision "$2" \
    --format csv "$top/images/fashion-mnist" | cut -d, -f1,2
}
# shellcheck disable=SC2317
agree() { # MODEL PRECISION
  classes cpu fp32 "$1" >"$work/cpu"
  classes cuda "$2" "$1" >"$work/gpu"
  local all different
  all=$(wc -l <"$work/cpu")
  different=$(diff "$work/cpu" "$work/gpu" | grep -c '^<' || true)
  echo "$1 $2: $different of $all classes differ"
  [[ $all -gt 0 && $all -eq $(wc -l <"$work/gpu") && $((500 * different)) -le $all ]]
}
for model in $bench_models; do
  for precision in $precisions; do
    if [[ -d $top/images/fashion-mnist ]]; then
      check "classes of $model in $precision" agree "$model" "$precision"
    else
      skip "classes of $model in $precision" "no images in $top/images"
    fi
  done
done

# Speed. Each run's JSON goes into the report as it is.
# shellcheck disable=SC2317
bench() { # MODEL PRECISION
  local measure=("$programs/prs-gpu" --log-level warn bench gpu --model "$top/models/$1.onnx"
    --precision "$2" --batch "$batches" --seconds "$seconds")
  "${measure[@]}" --format json >"$work/bench" && cp "$work/bench" "$work/bench-$1-$2.json"
}
for model in $bench_models; do
  for precision in $precisions; do
    check "speed of $model in $precision" bench "$model" "$precision"
  done
done

# shellcheck disable=SC2317
peers() {
  local torch=$top/bench/peers/gpu_torch.py files=()
  for model in $bench_models; do files+=("$top/models/$model.onnx"); done
  python3 "$torch" --seconds "$seconds" "${files[@]}" >"$work/peers" && tail -n 1 "$work/peers" >"$work/peers.json"
}
if [[ $emulated == true ]]; then
  skip "PyTorch" "nothing to compare an emulated device with"
elif ! command -v python3 >/dev/null; then
  skip "PyTorch" "there is no python3"
else
  check "PyTorch" peers
fi

query() { nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0 2>/dev/null || echo unknown; }
commit=$(field commit)
driver=$(query driver_version)
clocks=$(query clocks.max.sm,clocks.max.mem)
clocks_now=$(query clocks.sm,clocks.mem)
today=$(date -u +%F)
text() { sed 's/\\/\\\\/g; s/"/\\"/g' <<<"$1" | tr -d '\n'; }
# list FILE...: the files, which hold JSON values, as a JSON array.
list() {
  local file separator=''
  printf '['
  for file in "$@"; do
    [[ -s $file ]] || continue
    printf '%s' "$separator"
    cat "$file"
    separator=','
  done
  printf ']'
}
sort -u "$work/verified" | sed 's/.*/"&"/' | paste -sd, >"$work/kernels"
{
  printf '{\n  "gpu": "%s",\n  "emulated": %s,\n  "driver": "%s",\n  "cuda": "%s",\n' \
    "$(text "$gpu")" "$emulated" "$(text "$driver")" "$(text "$(field CUDA)")"
  printf '  "clocks_max": "%s",\n  "clocks_after": "%s",\n' \
    "$(text "$clocks")" "$(text "$clocks_now")"
  printf '  "commit": "%s",\n  "date": "%s",\n  "checks": {\n' "$(text "$commit")" "$today"
  for i in "${!names[@]}"; do
    [[ $i -eq 0 ]] || printf ',\n'
    printf '    "%s": "%s"' "$(text "${names[i]}")" "$(text "${results[i]}")"
  done
  printf '\n  },\n  "kernels_verified": [%s],\n' "$(cat "$work/kernels")"
  printf '  "bench": '
  list "$work"/bench-*.json
  printf ',\n  "peers": '
  list "$work/peers.json"
  printf '\n}\n'
} >"$report.json"
{
  printf '# GPU check\n\n| | |\n|---|---|\n| GPU | %s |\n| driver | %s |\n| CUDA | %s |\n' \
    "$gpu" "$driver" "$(field CUDA)"
  printf '| highest clocks | %s |\n| clocks after | %s |\n| commit | %s |\n| date | %s |\n' \
    "$clocks" "$clocks_now" "$commit" "$today"
  printf '\n| check | result |\n|---|---|\n'
  for i in "${!names[@]}"; do printf '| %s | %s |\n' "${names[i]}" "${results[i]}"; done
  printf '\nKernels whose tests passed: %s.\n' "$(sort -u "$work/verified" | paste -sd, | sed 's/,/, /g')"
  printf '\nWhat was measured is in the JSON beside this page.\n'
} >"$report.md"
echo "written: $report.json, $report.md, $report.log"
exit "$failed"
