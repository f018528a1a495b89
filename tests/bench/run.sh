#!/usr/bin/env bash
# Runs the tests of bench/'s scripts. Without node they are skipped (exit 77); with CI=true they fail.
set -euo pipefail
command -v node >/dev/null || {
  echo "no node: scripts/install-deps.sh --test installs it"
  [[ ${CI:-} == true ]] && exit 1
  exit 77
}
exec node --test "$(dirname "$0")"/*_test.cjs
