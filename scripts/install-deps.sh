#!/usr/bin/env bash
# Installs the Debian packages that the project needs and that are missing.
#
#   scripts/install-deps.sh [--build] [--test] [--train] [--data] [--bench] [--parquet] [--cuda]
#
#   --build   what building prs-gpu needs (the default)
#   --test    what scripts/test.sh needs besides: GoogleTest, clang for the fuzzers, linters, node,
#             and the packages of the Python scripts among the tests
#   --train   what retraining the models needs
#   --data    the Fashion-MNIST images
#   --bench   what bench/*.sh compare with and draw with: up to 400 MB
#   --parquet DuckDB's library, for Parquet: from npm to /usr/local/lib/prs-gpu
#   --cuda    Debian's CUDA toolkit, which needs the component non-free, and the compiler that it needs,
#             unless there is a toolkit from elsewhere: 5 GB
#
# Asks nothing. Uses sudo when not root. Does nothing when everything is there.
set -euo pipefail

build=(build-essential cmake ninja-build
  libeigen3-dev libspdlog-dev libfmt-dev libcli11-dev nlohmann-json3-dev
  libprotobuf-dev protobuf-compiler libonnx-dev libyaml-cpp-dev libsqlite3-dev libsimdjson-dev
  python3-dev pybind11-dev
  libopencv-core-dev libopencv-imgproc-dev libpng-dev libdeflate-dev libturbojpeg0-dev
  libtiff-dev zlib1g-dev)
test=(ccache libgtest-dev clang libclang-rt-14-dev llvm clang-format shellcheck python3
  python3-venv python3-numpy python3-pandas python3-pil python3-debugpy)
train=(python3-torch python3-onnx python3-numpy libopenblas0-openmp)
data=(dataset-fashion-mnist)
bench=(libtorch-dev libopencv-dnn-dev libopenblas0-openmp libspng-dev gnuplot-nox python3-numpy python3-pil
  python3-torch python3-onnx time)
cuda=(nvidia-cuda-toolkit g++-11)

# Debian has no library for Parquet; npm's package holds DuckDB's own build.
duckdb=@duckdb/node-bindings-linux-x64@1.4.4-r.1
duckdb_sha512=7e360d73eb78fd3ee6873679ee8268210696bdb615bf186275c34d6a7b101625a777afc930b0942dde2a9edf172374edd81ad9b2b687ebdd0a481212dd03edd3
duckdb_folder=/usr/local/lib/prs-gpu

parquet=
wanted=()
[[ $# -gt 0 ]] || set -- --build
for argument in "$@"; do
  case $argument in
    --build) wanted+=("${build[@]}") ;;
    --test)
      wanted+=("${test[@]}")
      # A node from elsewhere does as well, and Debian's npm would not install beside it.
      command -v node >/dev/null || wanted+=(nodejs)
      command -v npm >/dev/null || wanted+=(npm)
      ;;
    --train) wanted+=("${train[@]}") ;;
    --data) wanted+=("${data[@]}") ;;
    --bench) wanted+=("${bench[@]}") ;;
    --parquet)
      parquet=1
      command -v npm >/dev/null || wanted+=(npm)
      ;;
    --cuda)
      other=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
      [[ -n $other && $other != /usr/bin/nvcc ]] || wanted+=("${cuda[@]}")
      ;;
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "install-deps.sh: unknown argument $argument; see --help" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
needs_duckdb() { [[ -n $parquet && ! -e $duckdb_folder/libduckdb.so ]]; }
[[ ${#missing[@]} -gt 0 ]] || needs_duckdb || exit 0

as_root=()
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || {
    echo "install-deps.sh: run as root, or install sudo; missing: ${missing[*]}" >&2
    exit 1
  }
  as_root=(sudo)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
apt_install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
apt_update() { "${as_root[@]}" apt-get update -qq >"$log" 2>&1; }
# The lists of a new machine are missing, those of an old one name packages that are gone: they are
# read anew only when the first try fails.
if [[ ${#missing[@]} -gt 0 ]]; then
  echo "Installing: ${missing[*]}"
  if ! apt_install && ! { apt_update && apt_install; }; then
    tail -n 20 "$log" >&2
    echo "install-deps.sh: apt-get failed" >&2
    if [[ " ${missing[*]} " == *' nvidia-cuda-toolkit '* ]]; then
      echo "install-deps.sh: nvidia-cuda-toolkit is in Debian's non-free: write 'main contrib non-free' where" \
        "/etc/apt/sources.list or /etc/apt/sources.list.d/debian.sources says 'main', or install NVIDIA's toolkit" >&2
    fi
    exit 1
  fi
fi

if needs_duckdb; then
  echo "Installing: $duckdb_folder/libduckdb.so"
  (cd "$work" && npm pack --silent "$duckdb" >"$log")
  echo "$duckdb_sha512  $work/$(tail -n 1 "$log")" | sha512sum --check --quiet
  tar -xzf "$work"/*.tgz -C "$work" package/libduckdb.so
  "${as_root[@]}" install -D -m 644 "$work/package/libduckdb.so" "$duckdb_folder/libduckdb.so"
fi
