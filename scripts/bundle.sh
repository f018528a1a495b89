#!/bin/bash
# Packs what was built into one relocatable file, for a machine without a package registry (and for
# scripts/gpu-check.sh on a machine with a GPU): the programs with the shared libraries they need,
# the models, a few thousand images, the GPU's tests.
#
#   scripts/bundle.sh [--build DIR] [--images N] FILE.tar.gz
#
# Unpacked anywhere, bin/prs-gpu runs: the programs find their libraries, and those of these, in
# ../lib (prs_relocatable in cmake/). The machine must have a C library at least as new as this one's, and, for
# the GPU, the driver: those two are never packed.
set -euo pipefail

fail() {
  echo "bundle.sh: $1" >&2
  exit 1
}

root=$(cd "$(dirname "$0")/.." && pwd)
build="$root/build/release"
images=3000
file=
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build=$(realpath "${2:?--build needs a folder}"); shift ;;
    --images) images=${2:?--images needs a number}; shift ;;
    -*) fail "unknown option $1; see the head of this script" ;;
    *) file=$1 ;;
  esac
  shift
done
[ -n "$file" ] || fail "which file? scripts/bundle.sh prs-gpu.tar.gz"
[ -x "$build/bin/prs-gpu" ] || fail "$build/bin/prs-gpu is missing: cmake --build $build"
if "$build/bin/prs-gpu" --version | grep -q 'built without CUDA'; then
  echo "bundle.sh: warning: $build was built without CUDA: what is packed computes on the CPU, and
  gpu-check.sh has nothing to check. With nvcc: cmake --preset release -D PRS_CUDA=ON, and build again" >&2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
top="$work/prs-gpu"
mkdir -p "$top"/{bin,lib,models,images,scripts}

programs=(prs-gpu)
[ -x "$build/bin/unit_cuda_parity" ] && programs+=(unit_cuda_parity)
for program in "${programs[@]}"; do
  install -m 755 "$build/bin/$program" "$top/bin/$program"
  strip --strip-unneeded "$top/bin/$program"
done

# All libraries of all programs, and OpenCV's, which they load at run time, but the C library's own,
# which must fit the machine's loader.
opencv_name=$(strings "$build/bin/prs-gpu" | sed -n '/^libopencv_imgproc\.so/p')
opencv=$(/sbin/ldconfig -p | awk -v name="$opencv_name" '$1 == name { path = $NF } END { print path }')
[ -r "$opencv" ] || fail "$opencv_name is missing: scripts/install-deps.sh --build"
install -m 644 "$opencv" "$top/lib/"
own='^(ld-linux.*|libc|libm|libdl|libpthread|librt|libresolv|libutil)\.so'
for program in "${programs[@]}"; do
  ldd "$build/bin/$program" "$opencv"
done | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }
            / not found/ { print "missing:", $1 > "/dev/stderr"; exit 1 }' | sort -u |
  while read -r name path; do
    [[ $name =~ $own ]] && continue
    install -m 644 "$path" "$top/lib/$name"
  done

cp "$root"/models/*.onnx "$root"/models/*.txt "$top/models/"
cp "$root"/scripts/gpu-check.sh "$top/scripts/"
mkdir -p "$top/bench/peers"
cp "$root"/bench/peers/gpu_torch.py "$top/bench/peers/"
data=/usr/share/datasets/fashion-mnist
if [ -r "$data/t10k-images-idx3-ubyte.gz" ]; then
  "$build/bin/prs-gpu" --log-level warn export-images "$data/t10k-images-idx3-ubyte.gz" \
    --output "$work/all" --limit "$images" >/dev/null
  mv "$work/all" "$top/images/fashion-mnist"
fi
git -C "$root" rev-parse HEAD >"$top/COMMIT" 2>/dev/null || echo unknown >"$top/COMMIT"

mkdir -p "$(dirname "$file")"
tar -C "$work" -czf "$file" prs-gpu
size=$(stat -c %s "$file")
[ "$size" -lt $((60 << 20)) ] || fail "$file has $((size >> 20)) MiB; at most 60 are wanted"
echo "$file: $((size >> 10)) KiB, ${#programs[@]} programs, $(find "$top/lib" -type f | wc -l) libraries"
