#!/usr/bin/env bash
# Checks the GPU part on a machine with a GPU; needs no package registry, no compiler and no network.
#
#   scripts/gpu-check.sh [REPORT]
#
# Runs from an unpacked bundle (scripts/bundle.sh) or after a build in build/release. Every kernel
# against its reference on the GPU; the same under compute-sanitizer's four tools, where that is
# installed; the classes of images scored by GPU and CPU. Writes REPORT.json and REPORT.md (default:
# gpu-check), and what each step printed into REPORT.log.
#
# Exit code: 0 all is well, 1 something is not, 2 usage, 69 there is no GPU to check.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
  -*) echo "gpu-check.sh: unknown option $1; see --help" >&2; exit 2 ;;
esac
report=${1:-gpu-check}
top=$(cd "$(dirname "$0")/.." && pwd)
programs=$top/bin
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

export PRS_TEST_GPU=1 PRS_REQUIRE_GPU=1 PRS_MODELS_FOLDER=$top/models
kernels='Fused*:CudaKernels*:CudaPrecisions*'
check "kernels against their references" "$programs/unit_cuda_parity" --gtest_filter="$kernels"
check "models against the CPU" "$programs/unit_cuda_parity" --gtest_filter='*CudaModel*'

for tool in memcheck racecheck initcheck synccheck; do
  if command -v compute-sanitizer >/dev/null; then
    check "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$programs/unit_cuda_parity" --gtest_filter="$kernels"
  else
    skip "compute-sanitizer $tool" "compute-sanitizer is not installed"
  fi
done

# The class of every image, by both devices. Of close scores another may win: one in 500.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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
for model in mlp lenet cnn; do
  for precision in fp32 tf32 bf16 fp16; do
    if [[ -d $top/images/fashion-mnist ]]; then
      check "classes of $model in $precision" agree "$model" "$precision"
    else
      skip "classes of $model in $precision" "no images in $top/images"
    fi
  done
done

query() { nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0 2>/dev/null || echo unknown; }
commit=$(field commit)
driver=$(query driver_version)
clocks=$(query clocks.max.sm,clocks.max.mem)
text() { sed 's/\\/\\\\/g; s/"/\\"/g' <<<"$1" | tr -d '\n'; }
{
  printf '{\n  "gpu": "%s",\n  "driver": "%s",\n  "cuda": "%s",\n  "clocks_max": "%s",\n' \
    "$(text "$gpu")" "$(text "$driver")" "$(text "$(field CUDA)")" "$(text "$clocks")"
  printf '  "commit": "%s",\n  "date": "%s",\n  "checks": {\n' "$(text "$commit")" "$(date -u +%F)"
  for i in "${!names[@]}"; do
    [[ $i -eq 0 ]] || printf ',\n'
    printf '    "%s": "%s"' "$(text "${names[i]}")" "$(text "${results[i]}")"
  done
  printf '\n  }\n}\n'
} >"$report.json"
{
  printf '# GPU check\n\n| | |\n|---|---|\n| GPU | %s |\n| driver | %s |\n| CUDA | %s |\n' \
    "$gpu" "$driver" "$(field CUDA)"
  printf '| highest clocks | %s |\n| commit | %s |\n| date | %s |\n\n| check | result |\n|---|---|\n' \
    "$clocks" "$commit" "$(date -u +%F)"
  for i in "${!names[@]}"; do printf '| %s | %s |\n' "${names[i]}" "${results[i]}"; done
} >"$report.md"
echo "written: $report.json, $report.md, $report.log"
exit "$failed"
