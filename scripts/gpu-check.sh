#!/usr/bin/env bash
# Checks the GPU part on a machine with a GPU; needs no package registry, no compiler and no network.
#
#   scripts/gpu-check.sh [REPORT]
#
# Runs from an unpacked bundle (scripts/bundle.sh) or after a build in build/release. Every kernel
# against its reference on the GPU; the classes of images scored by GPU and CPU; the speed of every
# model's kernels, and of PyTorch where python3 has torch and onnx; the kernels once more under
# compute-sanitizer's four tools, where that is installed. Writes REPORT.json and REPORT.md (default:
# gpu-check), anew after every check, and what each step printed into REPORT.log. Without a GPU the
# report says what there is and what was not run. scripts/gpu-status.sh makes docs/gpu-status.md's
# table of such reports.
#
# Environment: PRS_GPU_CHECK_PROGRAMS, a folder with other programs than the bundle's (one of the test
# build, whose GPU is emulated, gets a short check; the report says so and counts for nothing);
# PRS_GPU_CHECK_IMAGES, a folder with other images; PRS_GPU_CHECK_LIMIT, the seconds that one check may
# take (300).
#
# Exit code: 0 all is well, 1 something is not, 2 usage, 69 there is no GPU to check.
set -euo pipefail

case ${1:-} in
  -h | --help) sed -n '2,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
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
no_gpu=
if [[ $gpu == none:* ]]; then
  no_gpu="no GPU: ${gpu#none: }"
  echo "gpu-check.sh: no GPU to check: ${gpu#none: }" >&2
fi

log=$report.log
: >"$log"
names=()
results=()
failed=0
note() { # NAME RESULT
  names+=("$1")
  results+=("$2")
  printf '%s: %s\n' "$1" "$2"
  write_report
}
# check NAME COMMAND...: notes whether the command succeeds; its output goes to the log.
check() {
  local name=$1 result=passed code=0
  shift
  printf '== %s\n' "$name" >>"$log"
  "$@" >>"$log" 2>&1 || code=$?
  if [[ $code -ne 0 ]]; then
    result=failed
    failed=1
  fi
  [[ $code -ne 124 ]] || result="failed: not done within its time"
  note "$name" "$result"
}
# on_gpu NAME COMMAND...: as check, of what needs the GPU.
on_gpu() {
  if [[ -n $no_gpu ]]; then
    note "$1" "not run: $no_gpu"
  else
    check "$@"
  fi
}
# What hangs must not take the rest along.
# shellcheck disable=SC2317
limited() { timeout -k 10 "${PRS_GPU_CHECK_LIMIT:-300}" "$@"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PRS_MODELS_FOLDER=$top/models
images=${PRS_GPU_CHECK_IMAGES:-$top/images/fashion-mnist}
emulated=false
seconds=0.2
batches=1,64,1024,16384
bench_models='mlp lenet cnn'
precisions='fp32 tf32 bf16 fp16 int8'
# A process each: after an illegal access or a hang a process can do no more. The newest last.
kernels=('CudaKernels*' 'CudaMeasure.Wgmma*' 'CudaPrecisions*' 'CudaQuantized*' 'FusedMlp.*:FusedCnn.*'
  'FusedCnnMma.*' 'FusedMlpMma.*' 'FusedMlpInt8.*' 'FusedCnnInt8.*' 'CudaDot*')
models='*CudaModel*'
if [[ $gpu == *'emulated on the CPU'* ]]; then
  emulated=true
  seconds=0
  batches=1,3
  bench_models='mlp lenet'
  precisions='fp32 bf16 int8'
  kernels=('CudaKernels.Peaks*' 'FusedMlp.EndsInTheBestClass')
  models='CudaModelPrecisions*'
else
  export PRS_TEST_GPU=1 PRS_REQUIRE_GPU=1
fi

query() { nvidia-smi --query-gpu="$1" --format=csv,noheader -i 0 2>/dev/null || echo unknown; }
# The first line that a command prints; "missing" without it.
says() { "$@" 2>/dev/null | head -n 1 | grep . || echo missing; }
tools=(nvidia-smi compute-sanitizer python3 torch onnx)
declare -A found=(
  [nvidia-smi]=$(says nvidia-smi --query-gpu=name,driver_version --format=csv,noheader)
  [compute-sanitizer]=$(says bash -c 'compute-sanitizer --version | grep -i version')
  [python3]=$(says python3 --version)
  [torch]=$(says python3 -c 'import torch; print(torch.__version__)')
  [onnx]=$(says python3 -c 'import onnx; print(onnx.__version__)')
)
commit=$(field commit)
cuda=$(field CUDA)
driver=$(query driver_version)
clocks=$(query clocks.max.sm,clocks.max.mem)
clocks_after=unknown
today=$(date -u +%F)
: >"$work/verified"

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
# members INDENT KEY VALUE...: of a JSON object.
members() {
  local indent=$1 separator='' one
  shift
  while [[ $# -gt 0 ]]; do
    one="\"${1//\"/\\\"}\": \"${2//\"/\\\"}\""
    printf '%s\n%s%s' "$separator" "$indent" "${one//$'\n'/ }"
    separator=','
    shift 2
  done
}
write_report() {
  local i found_tools=() done_checks=()
  for i in "${tools[@]}"; do found_tools+=("$i" "${found[$i]}"); done
  for i in "${!names[@]}"; do done_checks+=("${names[i]}" "${results[i]}"); done
  sort -u "$work/verified" | sed 's/.*/"&"/' | paste -sd, >"$work/kernels"
  {
    printf '{'
    members '  ' gpu "$gpu" driver "$driver" cuda "$cuda" clocks_max "$clocks" \
      clocks_after "$clocks_after" commit "$commit" date "$today"
    printf ',\n  "emulated": %s,\n  "tools": {' "$emulated"
    members '    ' "${found_tools[@]}"
    printf '\n  },\n  "checks": {'
    members '    ' "${done_checks[@]}"
    printf '\n  },\n  "kernels_verified": [%s],\n' "$(cat "$work/kernels")"
    printf '  "bench": '
    list "$work"/bench-*.json
    printf ',\n  "peers": '
    list "$work/peers.json"
    printf '\n}\n'
  } >"$report.json"
  {
    printf '# GPU check\n\n| | |\n|---|---|\n| GPU | %s |\n| driver | %s |\n| CUDA | %s |\n' \
      "$gpu" "$driver" "$cuda"
    printf '| highest clocks | %s |\n| clocks after | %s |\n| commit | %s |\n| date | %s |\n' \
      "$clocks" "$clocks_after" "$commit" "$today"
    for i in "${tools[@]}"; do printf '| %s | %s |\n' "$i" "${found[$i]}"; done
    printf '\n| check | result |\n|---|---|\n'
    for i in "${!names[@]}"; do printf '| %s | %s |\n' "${names[i]}" "${results[i]}"; done
    printf '\nKernels whose tests passed: %s.\n' \
      "$(sort -u "$work/verified" | paste -sd, | sed 's/,/, /g; s/^$/none/')"
    printf '\nWhat was measured is in the JSON beside this page.\n'
  } >"$report.md"
}

# The models of 8-bit integers, and images scored: both on the CPU, which shows that the bundle is whole.
# shellcheck disable=SC2317
quantize() { # MODEL
  limited "$programs/prs-gpu" quantize "$top/models/$1.onnx" --calibrate "$images" \
    -o "$work/$1.int8.onnx"
}
# shellcheck disable=SC2317
model_of() { # MODEL PRECISION
  if [[ $2 == int8 ]]; then echo "$work/$1.int8.onnx"; else echo "$top/models/$1.onnx"; fi
}
# shellcheck disable=SC2317
classes() { # DEVICE PRECISION MODEL
  limited "$programs/prs-gpu" score --model "$(model_of "$3" "$2")" --device "$1" \
    --precision "$2" --format csv "$images" | cut -d, -f1,2
}
if [[ -d $images ]]; then
  for model in $bench_models; do check "quantising $model on the CPU" quantize "$model"; done
else
  note "quantising on the CPU" "not run: no images in $images"
  precisions=${precisions% int8}
fi

# What a test launched is verified when the test passes.
# shellcheck disable=SC2317
verify() { # FILTER
  PRS_TEST_KERNELS=$work/launched limited "$programs/unit_cuda_parity" --gtest_filter="$1" &&
    cat "$work/launched" >>"$work/verified"
}
for tests in "${kernels[@]}"; do
  on_gpu "kernels against their references: $tests" verify "$tests"
done
on_gpu "models against the CPU" verify "$models"

# The class of every image, by both devices. Of close scores another may win: one in 500. Layers of
# 8-bit integers are exact.
# shellcheck disable=SC2317
agree() { # MODEL PRECISION
  local reference=fp32 all different allowed
  [[ $2 != int8 ]] || reference=int8
  classes cpu "$reference" "$1" >"$work/cpu"
  classes cuda "$2" "$1" >"$work/gpu"
  all=$(wc -l <"$work/cpu")
  different=$(diff "$work/cpu" "$work/gpu" | grep -c '^<' || true)
  allowed=$((all / 500))
  [[ $2 != int8 ]] || allowed=0
  echo "$1 $2: $different of $all classes differ"
  [[ $all -gt 1 && $all -eq $(wc -l <"$work/gpu") && $different -le $allowed ]]
}
for model in $bench_models; do
  for precision in $precisions; do
    if [[ -d $images ]]; then
      on_gpu "classes of $model in $precision" agree "$model" "$precision"
    else
      note "classes of $model in $precision" "not run: no images in $images"
    fi
  done
done

# Speed. Each run's JSON goes into the report as it is.
# shellcheck disable=SC2317
bench() { # MODEL PRECISION
  limited "$programs/prs-gpu" --log-level warn bench gpu --model "$(model_of "$1" "$2")" \
    --precision "$2" --batch "$batches" --seconds "$seconds" --format json >"$work/bench" &&
    cp "$work/bench" "$work/bench-$1-$2.json"
}
for model in $bench_models; do
  for precision in $precisions; do
    on_gpu "speed of $model in $precision" bench "$model" "$precision"
  done
done

clocks_after=$(query clocks.sm,clocks.mem)

# PyTorch keeps the limit by itself, but for what it compiles last; each line it prints is a whole report.
# shellcheck disable=SC2317
peers() {
  local files=() limit=${PRS_GPU_CHECK_LIMIT:-300} code=0
  for model in $bench_models; do files+=("$top/models/$model.onnx"); done
  timeout -k 10 $((2 * limit)) python3 "$top/bench/peers/gpu_torch.py" --seconds "$seconds" \
    --limit "$limit" "${files[@]}" >"$work/peers" || code=$?
  grep '}$' "$work/peers" | tail -n 1 >"$work/peers.json"
  ! grep unsupported "$work/peers.json" && return "$code"
}
if [[ $emulated == true ]]; then
  note PyTorch "not run: nothing to compare an emulated device with"
elif [[ ${found[torch]} == missing || ${found[onnx]} == missing ]]; then
  note PyTorch "not run: python3 has not both torch and onnx"
else
  on_gpu PyTorch peers
fi

for tool in memcheck racecheck initcheck synccheck; do
  if [[ $emulated == true ]]; then
    note "compute-sanitizer $tool" "not run: the emulation detects by itself"
  elif [[ ${found[compute-sanitizer]} == missing ]]; then
    note "compute-sanitizer $tool" "not run: compute-sanitizer is not installed"
  else
    for tests in "${kernels[@]}"; do
      on_gpu "compute-sanitizer $tool: $tests" limited compute-sanitizer --tool "$tool" \
        --error-exitcode 1 "$programs/unit_cuda_parity" --gtest_filter="$tests"
    done
  fi
done

echo "written: $report.json, $report.md, $report.log"
[[ -z $no_gpu ]] || exit 69
exit "$failed"
