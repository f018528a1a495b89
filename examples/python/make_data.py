"""Writes images/ and models/digits.npz beside this file: class k is a bright bar in row 2 k + 4."""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent


def main():
    random = np.random.default_rng(0)
    templates = np.zeros((10, 28, 28), np.float32)
    for digit in range(10):
        templates[digit, 2 * digit + 4 : 2 * digit + 6, 4:24] = 1
    (HERE / "images").mkdir(exist_ok=True)
    (HERE / "models").mkdir(exist_ok=True)
    for number in range(20):
        noisy = templates[number % 10] * 200 + random.uniform(0, 50, (28, 28))
        Image.fromarray(noisy.astype(np.uint8)).save(HERE / "images" / f"{number:02}.png")
    np.savez(HERE / "models" / "digits.npz", weights=templates.reshape(10, 784).T,
             bias=np.zeros(10, np.float32))


if __name__ == "__main__":
    main()
