#!/usr/bin/env bash
# check.sh CHECK CMAKE CXX BUILD WORK: one check of the installed package.
#
#   move      installs BUILD into a prefix and moves that to WORK/prefix (comes first)
#   exports   libprs exports symbols of namespace prs only
#   headers   every public header compiles alone
#   program   prs-gpu runs from there
#   plugin    examples/plugin builds against it and exports its one function
#   embed     examples/embed builds against it, with and without PIC, and scores images
set -euo pipefail
check=$1 cmake=$2 cxx=$3 build=$4 work=$5
source_dir=$(cd "$(dirname "$0")/../../.." && pwd)
prefix=$work/prefix

fail() {
  echo "FAIL: $*"
  exit 1
}

check_move() {
  rm -rf "$work"
  mkdir -p "$work"
  "$cmake" --install "$build" --prefix "$work/first" >"$work/install.log"
  mv "$work/first" "$prefix"
  for file in bin/prs-gpu include/prs/engine.hpp lib/libprs.so share/prs-gpu/models/lenet.onnx \
    share/prs-gpu/models/lenet.md lib/cmake/prs/prsConfig.cmake lib/cmake/prs/prsTargets.cmake \
    lib/cmake/prs/prsConfigVersion.cmake share/bash-completion/completions/prs-gpu \
    share/zsh/site-functions/_prs-gpu; do
    [[ -e $prefix/$file ]] || fail "$file is not installed"
  done
  if grep -rlF -e "$work/first" -e "$source_dir/core" "$prefix/lib/cmake" "$prefix/include"; then
    fail "the files above name the folder that they were installed or built in"
  fi
}

check_exports() {
  local symbols strangers
  symbols=$(nm -DC --defined-only "$prefix/lib/libprs.so")
  # "A" is the version node itself.
  strangers=$(grep -Ev ' A PRS_0$| [TDBRVWu] ((vtable|typeinfo( name)?) for )?prs::[A-Za-z_]' \
    <<<"$symbols" || true)
  [[ -z $strangers ]] || fail "libprs exports more than namespace prs: $strangers"
  grep -q 'T prs::Engine::load' <<<"$symbols" || fail "libprs does not export prs::Engine::load"
  grep -q 'typeinfo for prs::Error' <<<"$symbols" || fail "libprs does not export prs::Error"
  if grep -E 'prs::(cpu|cuda|onnx|image)::' <<<"$symbols"; then fail "these are internal"; fi
  echo "$(wc -l <<<"$symbols") symbols"
}

check_headers() {
  local header
  for header in "$prefix"/include/prs/*.h*; do
    echo "#include <prs/$(basename "$header")>" >"$work/header.cpp"
    "$cxx" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Werror -I"$prefix/include" \
      "$work/header.cpp" || fail "$header does not compile alone"
    echo "ok $(basename "$header")"
  done
}

check_program() {
  (cd / && "$prefix/bin/prs-gpu" --version)
  if [[ -e $prefix/lib/prs-gpu/libprs_python.so ]]; then
    check_script
  fi
  (cd / && "$prefix/bin/prs-gpu" inspect "$prefix/share/prs-gpu/models/lenet.onnx" >/dev/null)
}

# A Python script runs from the moved tree, with our own modules.
check_script() {
  mkdir -p "$work/items"
  echo x >"$work/items/1.txt"
  printf '%s\n' 'from azureml.core import Run' 'def run(mini_batch): return [Run.get_context().id]' \
    >"$work/score.py"
  (cd / && PRS_HOME=$work/home "$prefix/bin/prs-gpu" run --entry-script "$work/score.py" \
    --input "$work/items" --output "$work/out" --name packaged --overwrite --quiet)
  grep -q '^packaged-' "$work/out/parallel_run_step.txt" || fail "the script's row is not there"
  (cd / && PYTHONPATH=$prefix/lib/prs-gpu/python /usr/bin/python3 -B -c \
    'import prs, sys; assert prs.Engine(sys.argv[1]).classes == 10' \
    "$prefix/share/prs-gpu/models/lenet.onnx") || fail "import prs does not work from there"
}

check_plugin() {
  local hidden
  # As many projects build: nothing is exported that is not marked.
  hidden="-fvisibility=hidden -Wall -Wextra -Wpedantic -Werror"
  "$cmake" -S "$source_dir/examples/plugin" -B "$work/plugin" -G Ninja \
    -D CMAKE_PREFIX_PATH="$prefix" -D CMAKE_C_STANDARD=99 -D CMAKE_C_FLAGS="$hidden"
  "$cmake" --build "$work/plugin"
  nm -D --defined-only "$work/plugin/libfile_sizes.so" | grep -q 'T prs_entry_plugin$' ||
    fail "libfile_sizes.so does not export prs_entry_plugin"
}

check_embed() {
  # Eight 28 x 28 images as an IDX file: black ones and white ones.
  { printf '\0\0\x08\x03\0\0\0\x08\0\0\0\x1c\0\0\0\x1c'
    head -c 3136 /dev/zero; head -c 3136 /dev/zero | tr '\0' '\377'; } >"$work/images.idx"
  local pic output lines
  for pic in ON OFF; do
    "$cmake" -S "$source_dir/examples/embed" -B "$work/embed-$pic" -G Ninja \
      -D CMAKE_CXX_COMPILER="$cxx" -D CMAKE_PREFIX_PATH="$prefix" -D CMAKE_BUILD_TYPE=Release \
      -D CMAKE_POSITION_INDEPENDENT_CODE="$pic" -D CMAKE_EXE_LINKER_FLAGS="$(
        [[ $pic == OFF ]] && echo -no-pie)" \
      -D CMAKE_CXX_FLAGS="-Wall -Wextra -Werror$([[ $pic == OFF ]] && echo ' -fno-pie')"
    "$cmake" --build "$work/embed-$pic"
    output=$("$work/embed-$pic/embed" "$prefix/share/prs-gpu/models/lenet.onnx" "$work/images.idx")
    echo "$output"
    lines=$(grep -cE '^.*/images\.idx#[0-7]:(  [A-Z][A-Za-z/ -]* \(-?[0-9]+\.[0-9]{2}\)){3}$' \
      <<<"$output" || true)
    [[ $lines == 8 ]] || fail "$lines of 8 lines look right"
    [[ $(cut -d: -f2 <<<"$output" | sort -u | wc -l) == 2 ]] || fail "expected two kinds of images"
  done
  if output=$("$work/embed-ON/embed" /nonexistent.onnx "$work/images.idx" 2>&1); then
    fail "a missing model is no error"
  fi
  grep -q '/nonexistent.onnx' <<<"$output" || fail "the error does not name the model: $output"
}

"check_$check"
