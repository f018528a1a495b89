#!/usr/bin/env bash
# isa_symbols.sh CXX (LEVEL OBJECT...)...: no object of an instruction-set level may define a symbol
# that another level or the rest of the program could share.
#
# A weak symbol (an inline function, a template instance) is one definition for the whole program:
# if the linker keeps the copy compiled for AVX-512, it serves the portable level too, and the
# program dies on an older processor. Names that hold the level are its own and harmless. First the
# check proves on a bad object that it can fail.
set -euo pipefail
cxx=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints the leaks of an object; the level's names: prs::cpu::LEVEL, prs_eigen_LEVEL.
leaks() {
  local level=$1 object=$2
  nm --defined-only "$object" | awk '$2 ~ /^[WVu]$/ { print $3 }' |
    grep -v -e "3prs3cpu${#level}${level}" -e "prs_eigen_${level}" \
      -e '^DW\.ref\.__gxx_personality' | c++filt || true
}

cat >"$work/bad.cpp" <<'CPP'
namespace prs::cpu::avx2 { inline int own(int x) { return x + 1; } }
inline int leak(int x) { return x + 2; }
int (*a)(int) = prs::cpu::avx2::own;
int (*b)(int) = leak;
CPP
"$cxx" -std=c++20 -O0 -c "$work/bad.cpp" -o "$work/bad.o"
if [[ $(leaks avx2 "$work/bad.o") != "leak(int)" ]]; then
  echo "the check does not see the leak of its own bad object: $(leaks avx2 "$work/bad.o")"
  exit 1
fi

level="" objects=0 failed=0
for argument in "$@"; do
  case $argument in
    *.o) ;;
    *) level=$argument; continue ;;
  esac
  objects=$((objects + 1))
  found=$(leaks "$level" "$argument")
  if [[ -n $found ]]; then
    failed=1
    printf '%s shares with the rest of the program:\n%s\n' "$argument" "$found"
  fi
done
[[ $objects -gt 0 ]] || { echo "no objects given"; exit 1; }
[[ $failed == 0 ]] || exit 1
echo "$objects objects share nothing"
