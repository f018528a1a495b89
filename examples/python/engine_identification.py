"""Classifies images as digit_identification.py does, on prs-gpu's own engine: it decodes and
preprocesses the images as the model says."""

import argparse
import os

import prs
from azureml.core.model import Model


def init():
    """Once in each worker: the model."""
    global engine
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model_name", required=True)
    args, _ = parser.parse_known_args()
    engine = prs.Engine(Model.get_model_path(args.model_name))


def run(mini_batch):
    """For each mini-batch: one row an image; an image that cannot be read is a failed item."""
    scores, errors = engine.run_files(mini_batch)
    rows = []
    for path, row, error in zip(mini_batch, scores, errors):
        if error:
            print(error)
        else:
            rows.append(f"{os.path.basename(path)}: {engine.label(row.argmax())}")
    return rows
