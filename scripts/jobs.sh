#!/usr/bin/env bash
# Prints how many compiler processes may run at once: one a core, as far as memory allows (up to
# 1.5 GiB each).
set -euo pipefail
awk -v cores="$(nproc)" '/^MemAvailable:/ {
  fit = int($2 / (1.5 * 1024 * 1024)); n = fit < cores ? fit : cores; print n < 1 ? 1 : n
}' /proc/meminfo
