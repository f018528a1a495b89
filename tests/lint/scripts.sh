#!/usr/bin/env bash
# scripts.sh: shellcheck over the project's shell scripts. Skipped without shellcheck.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v shellcheck >/dev/null || {
  echo "no shellcheck: scripts/install-deps.sh --test installs it"
  exit 77
}
mapfile -t files < <(find .ci scripts tests models examples bench -type f \
  \( -name '*.sh' -o -path '.ci/run' \) 2>/dev/null | sort)
shellcheck "${files[@]}"
echo "${#files[@]} scripts"
