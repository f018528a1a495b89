#!/usr/bin/env bash
# Writes README's section on the engine's speed from a recorded result.
#
#   bench/readme.sh [--check] [RESULT.json]
#
# RESULT.json: the newest bench/results/*-engine-cpu.json unless told. With --check nothing is written;
# fails when README says something else.
set -euo pipefail
case ${1:-} in
  -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
exec node "$(dirname "$0")/readme.cjs" "$@"
