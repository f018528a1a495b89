"""Classifies images of handwritten digits: the sample script of ParallelRunStep's documentation,
with a model that NumPy alone can run (a linear classifier in an .npz file: "weights" [784, 10] and
"bias" [10])."""

import argparse
import os

import numpy as np
from azureml.core.model import Model
from PIL import Image


def init():
    """Once in each worker: the model."""
    global weights, bias
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model_name", required=True)
    args, _ = parser.parse_known_args()
    with np.load(Model.get_model_path(args.model_name)) as model:
        weights, bias = model["weights"], model["bias"]


def run(mini_batch):
    """For each mini-batch: one row an image."""
    print(f"run method start: {__file__}, {len(mini_batch)} files")
    rows = []
    for path in mini_batch:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L").resize((28, 28)), np.float32).reshape(784) / 255
        best = int(np.argmax(pixels @ weights + bias))
        rows.append(f"{os.path.basename(path)}: {best}")
    return rows
