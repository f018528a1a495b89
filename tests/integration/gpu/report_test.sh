#!/usr/bin/env bash
# scripts/gpu-check.sh with the emulation as its GPU: a whole report; and scripts/gpu-status.sh, which
# counts reports of GPUs only.
#
#   report_test.sh SOURCE_FOLDER EMULATED_PRS_GPU UNIT_CUDA_PARITY
set -euo pipefail

source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "report_test.sh: $1" >&2
  exit 1
}

mkdir "$work/bin"
ln -s "$2" "$work/bin/prs-gpu"
ln -s "$3" "$work/bin/unit_cuda_parity"
# A check of int8 calibrates on images: what is to be scored is small here, as the emulation is slow.
data=/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz
[[ ! -r $data ]] || "$2" --log-level warn export-images "$data" --output "$work/images" --limit 20 >/dev/null
export PRS_GPU_CHECK_IMAGES=$work/images
PRS_GPU_CHECK_PROGRAMS=$work/bin "$source/scripts/gpu-check.sh" "$work/report" >"$work/out" ||
  fail "gpu-check.sh failed: $(cat "$work/out" "$work/report.log")"
for line in 'GPU | cuda:0 emulated on the CPU' 'kernels against their references: CudaKernels.Peaks* | passed' \
  'kernels against their references: FusedMlp.EndsInTheBestClass | passed' \
  'speed of mlp in bf16 | passed' 'PyTorch | not run: nothing to compare'; do
  grep -qF "$line" "$work/report.md" || fail "no '$line' in the page: $(cat "$work/report.md")"
done

if [[ -d $work/images ]]; then
  for line in 'quantising lenet on the CPU | passed' 'classes of lenet in int8 | passed' \
    'speed of lenet in int8 | passed'; do
    grep -qF "$line" "$work/report.md" || fail "no '$line' in the page: $(cat "$work/report.md")"
  done
else
  grep -qF 'quantising on the CPU | not run: no images' "$work/report.md" || fail "$(cat "$work/report.md")"
fi

python3 - "$work" <<'PYTHON'
import json
import sys

report = json.load(open(f"{sys.argv[1]}/report.json"))
assert report["emulated"] is True
for key in ("gpu", "driver", "cuda", "clocks_max", "clocks_after", "commit", "date"):
    assert isinstance(report[key], str) and report[key], key
assert set(report["kernels_verified"]) >= {"peak_f32_fma", "peak_u8s8_mma"}, report["kernels_verified"]
assert all(report["tools"][tool] for tool in ("nvidia-smi", "compute-sanitizer", "python3", "torch", "onnx"))
precisions = {run["cells"][0]["precision"] for run in report["bench"]}
assert precisions >= {"fp32", "bf16"} and len(report["bench"]) == 2 * len(precisions), precisions
assert report["peers"] == []
assert all(cell["steps"] for run in report["bench"] for cell in run["cells"])
# The same as if a GPU had been there and one kernel timed, to see what the table makes of it.
report["emulated"] = False
report["gpu"] = "cuda:0 Test Device (compute capability 8.6, 1.0 GiB)"
report["date"] = "2001-02-03"
report["commit"] = "0123456789ab"
report["bench"][0]["cells"][0]["steps"][0].update(kernel="gemm_f32_smem_64x64x16", time_us=1.5)
json.dump(report, open(f"{sys.argv[1]}/device.json", "w"))
PYTHON

# The page in the tree is what the reports in the tree make of it.
shopt -s nullglob
kept=("$source"/bench/results/*-gpu-check.json)
"$source/scripts/gpu-status.sh" --check "${kept[@]}" || fail "docs/gpu-status.md is stale"
cp "$source/docs/gpu-status.md" "$work/page.md"
"$source/scripts/gpu-status.sh" --output "$work/page.md" "${kept[@]}" "$work/report.json"
cmp -s "$source/docs/gpu-status.md" "$work/page.md" || fail "an emulated device counts as a GPU"
"$source/scripts/gpu-status.sh" --output "$work/page.md" "$work/device.json" "$work/report.json"
seen='0123456789ab, 2001-02-03, Test Device'
for row in "| \`peak_f32_fma\` | $seen | never |" "| \`gemm_f32_smem_64x64x16\` | never | $seen |" \
  "| \`cast_thread_per_element\` | never | never |"; do
  grep -qxF "$row" "$work/page.md" || fail "no row '$row': $(cat "$work/page.md")"
done
if "$source/scripts/gpu-status.sh" --check --output "$work/page.md" 2>/dev/null; then
  fail "--check did not see that the page has changed"
fi
# Nor does a machine without a GPU.
mkdir "$work/none"
printf '#!/bin/sh\necho "  GPU  none: no NVIDIA driver found"\n' >"$work/none/prs-gpu"
ln -s "$3" "$work/none/unit_cuda_parity"
chmod +x "$work/none/prs-gpu"
code=0
PRS_GPU_CHECK_IMAGES=$work/nothing PRS_GPU_CHECK_PROGRAMS=$work/none "$source/scripts/gpu-check.sh" "$work/absent" \
  >/dev/null 2>&1 || code=$?
[[ $code -eq 69 ]] || fail "without a GPU gpu-check.sh ended with $code"
cp "$source/docs/gpu-status.md" "$work/page.md"
"$source/scripts/gpu-status.sh" --output "$work/page.md" "${kept[@]}" "$work/absent.json"
cmp -s "$source/docs/gpu-status.md" "$work/page.md" || fail "no GPU counts as a GPU"
echo '{}' >"$work/broken.json"
if "$source/scripts/gpu-status.sh" --output "$work/page.md" "$work/broken.json" 2>"$work/errors"; then
  fail "a file that is no report was taken"
fi
grep -q 'broken.json: no report' "$work/errors" || fail "$(cat "$work/errors")"

# Without torch, onnx or a GPU the peers say so and are no failure. Where torch is, its layers give the
# same scores in every way that the CPU has; what --limit leaves no time for is told.
peers() { python3 "$source/bench/peers/gpu_torch.py" --seconds 0 --batch 1 "$@"; }
peers | grep -q '^{"' || fail "gpu_torch.py prints no JSON"
if python3 -c 'import torch, onnx' 2>/dev/null; then
  peers --device cpu "$source/models/lenet.onnx" | tail -n 1 >"$work/torch.json"
  peers --device cpu --limit 0 "$source/models/lenet.onnx" | tail -n 1 >"$work/late.json"
  python3 - "$work" <<'PYTHON'
import json
import sys

def cells(name):
    return json.load(open(f"{sys.argv[1]}/{name}.json"))["models"][0]["cells"]

measured = {(one["precision"], one["way"]): one for one in cells("torch")}
assert measured["fp32", "eager"]["max_difference"] < 1e-4, measured
assert measured["bf16", "eager"]["top1_agreement"] == 1.0, measured
assert all(one["images_per_s"] > 0 for way, one in measured.items() if way[1] == "eager"), measured
assert all(one["not_run"] == "no time left" for one in cells("late"))
PYTHON
fi
