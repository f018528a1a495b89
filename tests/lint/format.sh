#!/usr/bin/env bash
# format.sh [--fix]: all sources are formatted as .clang-format says. Skipped without clang-format.
set -euo pipefail
cd "$(dirname "$0")/../.."
clang_format=$(command -v clang-format-14 || command -v clang-format) || {
  echo "no clang-format: scripts/install-deps.sh --test installs it"
  exit 77
}
# Another version formats differently.
"$clang_format" --version | grep -q 'version 14\.' || { echo "not clang-format 14"; exit 77; }
mapfile -t files < <(find core cuda cli scheduler tests bench examples -type f \
  \( -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh' \) 2>/dev/null | sort)
[[ ${#files[@]} -gt 0 ]] || { echo "no sources found"; exit 1; }
if [[ ${1:-} == --fix ]]; then
  "$clang_format" -i "${files[@]}"
else
  "$clang_format" --dry-run -Werror "${files[@]}"
fi
echo "${#files[@]} files"
