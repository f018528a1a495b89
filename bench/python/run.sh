#!/usr/bin/env bash
# What a mini-batch costs beside the user's own work: noop.py against the native noop.c, one worker,
# 2,000 mini-batches of 10 paths, the median of what each worker measured around run().
#
#   bench/entry/run.sh [ROUNDS]     with a release build in build/release; default 5 rounds
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PRS_HOME=$work/home
cc -O2 -shared -fPIC -I"$root/scheduler/include" "$here/noop.c" -o "$work/noop.so"
mkdir "$work/items"
(cd "$work/items" && seq -f '%05g.png' 0 19999 | xargs touch)
for ((round = 0; round < ${1:-5}; ++round)); do
  for entry in "--plugin $work/noop.so" "--entry-script $here/noop.py"; do
    # shellcheck disable=SC2086  # An option and its value.
    "$root/build/release/bin/prs-gpu" run $entry --input "$work/items" --output "$work/out" \
      --workers 1 --overwrite --quiet --set resource_monitor_interval=0 2>"$work/log"
    /usr/bin/python3 - "$entry" "$work/out" <<'PYTHON'
import csv, statistics, sys
with open(sys.argv[2] + "/logs/sys/job_report/processed_mini-batches.csv") as file:
    rows = list(csv.DictReader(file))
run, cpu = ([float(row[name]) * 1e6 for row in rows]
            for name in ("Run Method Seconds", "Process Seconds"))
print(f"{sys.argv[1].split('/')[-1]:8} run() {statistics.median(run):5.1f} us, "
      f"CPU of the try {statistics.median(cpu):5.1f} us, {len(rows)} mini-batches")
PYTHON
  done
done
