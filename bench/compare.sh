#!/usr/bin/env bash
# Fails when a newer result of bench/run.sh is worse than an older one.
#
#   bench/compare.sh OLD.json NEW.json
#
# Worse: the ratio to the best peer fell by more than 10 % in any cell, or a cell is missing. Only peers
# that both runs measured in a cell count. Prints the cells that changed by more than 10 %, and exits
# with 1 when one is worse, with 2 when the files cannot be compared.
set -euo pipefail
case ${1:-} in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
exec node "$(dirname "$0")/compare.cjs" "$@"
