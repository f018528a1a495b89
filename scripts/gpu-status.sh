#!/usr/bin/env bash
# Writes the table of kernels in docs/gpu-status.md from reports of scripts/gpu-check.sh: for every
# kernel the last commit whose tests passed on a GPU, and the last one that was timed on one.
#
#   scripts/gpu-status.sh [--output PAGE] [--check] REPORT.json...
#
# Reports of emulated devices, and of machines without a GPU, count for nothing; without a report of a GPU
# a kernel's entry is "never".
# --check writes nothing and fails when the page would change.
set -euo pipefail
case ${1:-} in
  -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
exec python3 - "$(cd "$(dirname "$0")/.." && pwd)" "$@" <<'PYTHON'
import argparse
import json
import pathlib
import re
import sys

BEGIN = "<!-- scripts/gpu-status.sh writes from here -->"
END = "<!-- to here -->"

root = pathlib.Path(sys.argv[1])
parser = argparse.ArgumentParser(prog="gpu-status.sh")
parser.add_argument("--output", type=pathlib.Path, default=root / "docs" / "gpu-status.md")
parser.add_argument("--check", action="store_true")
parser.add_argument("reports", nargs="*", type=pathlib.Path)
options = parser.parse_args(sys.argv[2:])

kernels = re.findall(r'^PRS_CUDA_KERNEL\(\w+, "([^"]+)"\)',
                     (root / "cuda/kernels/kernels.inc").read_text(), re.MULTILINE)
verified, timed = {}, {}
reports = []
for path in options.reports:
    try:
        report = json.loads(path.read_text())
        reports.append((report["date"], report["emulated"], report))
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"gpu-status.sh: {path}: no report of gpu-check.sh: {error!r}")
for date, emulated, report in sorted(reports, key=lambda one: one[0]):
    if emulated or report["gpu"].startswith("none:"):
        continue
    where = f"{report['commit']}, {date}, {re.sub(r' *[(].*', '', report['gpu']).split(' ', 1)[-1]}"
    for kernel in report["kernels_verified"]:
        verified[kernel] = where
    for run in report["bench"]:
        for cell in run.get("cells", []):
            for step in cell["steps"]:
                if step["time_us"] is not None:
                    timed[step["kernel"]] = where

rows = ["| kernel | last verified on a GPU | last timed on a GPU |", "|---|---|---|"]
rows += [f"| `{one}` | {verified.get(one, 'never')} | {timed.get(one, 'never')} |" for one in kernels]
page = options.output.read_text()
if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
    sys.exit(f"gpu-status.sh: {options.output}: the lines '{BEGIN}' and '{END}' must be there once")
head, rest = page.split(BEGIN)
tail = rest.split(END)[1]
new = head + BEGIN + "\n" + "\n".join(rows) + "\n" + END + tail
if options.check:
    if new != page:
        sys.exit(f"gpu-status.sh: {options.output} is not what its reports say: run scripts/gpu-status.sh")
else:
    options.output.write_text(new)
PYTHON
