#!/bin/sh
# Install what training needs on Debian 12 and retrain the three classifiers.
#
#     train.sh [OUTPUT]
#
# The ONNX files go to the folder OUTPUT (default: ./retrained), so that the
# shipped files stay as they are.  Run as root or as a user with sudo.
set -eu

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# libopenblas0-openmp replaces the far slower reference BLAS.
as_root apt-get update
as_root apt-get install -y --no-install-recommends \
    dataset-fashion-mnist libopenblas0-openmp \
    python3-numpy python3-onnx python3-torch

exec /usr/bin/python3 "$(dirname "$0")/train.py" all --output "${1:-retrained}"
