"""Predicts the variety of iris flowers: ParallelRunStep's tabular sample. run() gets a DataFrame and
returns it with one column more. The model is the mean of each variety, in a JSON file."""

import argparse
import json

import numpy as np
from azureml.core.model import Model


def init():
    """Once in each worker: the model, and where the names of the varieties are."""
    global columns, means, names
    parser = argparse.ArgumentParser("Iris model serving")
    parser.add_argument("--model_name", required=True)
    parser.add_argument("--names", required=True, help="a file: one line a variety")
    args, _ = parser.parse_known_args()
    with open(Model.get_model_path(args.model_name), encoding="utf-8") as file:
        model = json.load(file)
    with open(args.names, encoding="utf-8") as file:
        names = np.array(file.read().splitlines())
    columns, means = model["columns"], np.array(model["means"])


def run(mini_batch):
    """For each mini-batch: its rows with their variety."""
    features = mini_batch[columns].to_numpy()
    distances = ((features[:, None, :] - means) ** 2).sum(axis=2)  # [rows, varieties]
    return mini_batch.assign(variety=names[distances.argmin(axis=1)])
