"""The way of PRS's published samples: PIL, one image at a time, mini-batches of ten.

    pil_sample.py FOLDER OUTPUT

Scores nothing, which is in its favour: what it takes is reading, decoding and rows.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def run(mini_batch):
    rows = []
    for path in mini_batch:
        pixels = np.asarray(Image.open(path), dtype=np.float32) / 255
        rows.append(f"{path.name}: {int(pixels.argmax())}")
    return rows


files = sorted(Path(sys.argv[1]).glob("*.png"))
with open(sys.argv[2], "w", encoding="utf-8") as output:
    for first in range(0, len(files), 10):
        output.writelines(row + "\n" for row in run(files[first : first + 10]))
