#!/usr/bin/env bash
# install.sh FOLDER: installs onnxruntime-node from npm into FOLDER, where it stays for the next call.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$1"
for tool in node npm; do
  command -v "$tool" >/dev/null || {
    echo "no $tool: scripts/install-deps.sh --test installs it" >&2
    exit 1
  }
done
# The stamp holds the package.json that was installed last and completely.
cmp -s "$here/package.json" installed.json && exit 0
cp "$here/package.json" package.json
# No scripts: the CPU library for Linux is inside the package, scripts would fetch the GPU's.
npm install --ignore-scripts --no-package-lock --no-audit --no-fund
cp package.json installed.json
