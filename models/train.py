#!/usr/bin/python3
"""Train the three Fashion-MNIST classifiers of prs-gpu and export them to ONNX.

    train.py mlp|lenet|cnn|all [--epochs N] [--seed N] [--threads N]
             [--data DIR] [--output DIR]

Each network is trained on the 60,000 training images, written to
OUTPUT/<name>.onnx, read back, and measured on the 10,000 test images by
executing the graph that was read back.  The test images take no part in
training: the number of epochs is fixed beforehand and the weights of the last
epoch are the ones exported.

Needs the Debian 12 packages python3-torch, python3-onnx, python3-numpy and
dataset-fashion-mnist; train.sh installs them.
"""

import argparse
import gzip
import hashlib
import json
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import nn

LABELS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]

# What prs-gpu needs to know about a model beyond its graph; stored as JSON in
# the metadata entry "prs" of the ONNX file.
PRS_METADATA = {
    "task": "image-classification",
    "scale": 1 / 255,
    "mean": [0],
    "std": [1],
    "layout": "NCHW",
    "channels": 1,
    "labels": LABELS,
}

OPSET = 13
EVALUATION_BATCH = 1000


def build_mlp():
    """Return the 784-256-128-10 perceptron."""
    return nn.Sequential(OrderedDict([
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(784, 256)),
        ("relu1", nn.ReLU()),
        ("drop1", nn.Dropout(0.2)),
        ("fc2", nn.Linear(256, 128)),
        ("relu2", nn.ReLU()),
        ("drop2", nn.Dropout(0.2)),
        ("fc3", nn.Linear(128, 10)),
    ]))


def build_lenet():
    """Return the small network of two padded 5x5 convolutions."""
    return nn.Sequential(OrderedDict([
        ("conv1", nn.Conv2d(1, 8, 5, padding=2)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(8, 16, 5, padding=2)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(3)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(256, 10)),
    ]))


def build_cnn():
    """Return the larger network of two unpadded 3x3 convolutions."""
    return nn.Sequential(OrderedDict([
        ("conv1", nn.Conv2d(1, 32, 3)),
        ("relu1", nn.ReLU()),
        ("conv2", nn.Conv2d(32, 64, 3)),
        ("relu2", nn.ReLU()),
        ("pool", nn.MaxPool2d(2)),
        ("drop1", nn.Dropout(0.25)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(9216, 128)),
        ("relu3", nn.ReLU()),
        ("drop2", nn.Dropout(0.5)),
        ("fc2", nn.Linear(128, 10)),
    ]))


@dataclass(frozen=True)
class Recipe:
    """How one network is built and trained."""

    build: Callable[[], nn.Module]
    epochs: int
    peak_rate: float
    weight_decay: float
    batch: int = 128


RECIPES = {
    "mlp": Recipe(build_mlp, epochs=40, peak_rate=2e-3, weight_decay=0.01),
    "lenet": Recipe(build_lenet, epochs=30, peak_rate=1e-2, weight_decay=0.01),
    "cnn": Recipe(build_cnn, epochs=14, peak_rate=2e-3, weight_decay=0.02),
}


def read_idx(path):
    """Return the array in the gzip-compressed IDX file of bytes at `path`."""
    with gzip.open(path) as stream:
        data = stream.read()
    zero, kind, rank = struct.unpack_from(">HBB", data)
    if zero != 0 or kind != 0x08:
        raise ValueError(f"{path}: not an IDX file of unsigned bytes")
    shape = struct.unpack_from(f">{rank}I", data, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_split(folder, prefix):
    """Return (images, labels) of the split `prefix` ("train" or "t10k").

    Images are float32 N x 1 x 28 x 28 with values pixel/255.
    """
    images = read_idx(folder / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
    pixels = torch.from_numpy(images.astype(np.float32)).unsqueeze(1)
    return pixels * PRS_METADATA["scale"], torch.from_numpy(labels.astype(np.int64))


def random_flip(images):
    """Mirror each image left to right with probability one half."""
    flip = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(flip, images.flip(3), images)


def train(recipe, epochs, images, labels):
    """Build and train the network of `recipe`; return it in evaluation mode."""
    model = recipe.build().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=recipe.weight_decay)
    steps = len(images) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=recipe.peak_rate, epochs=epochs, steps_per_epoch=steps)
    for epoch in range(epochs):
        start = time.monotonic()
        total = 0.0
        order = torch.randperm(len(images))[:steps * recipe.batch]
        for chosen in order.split(recipe.batch):
            loss = F.cross_entropy(model(random_flip(images[chosen])), labels[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"  epoch {epoch + 1}/{epochs}: training loss {total / steps:.4f}, "
              f"{time.monotonic() - start:.1f} s", flush=True)
    return model.to(memory_format=torch.contiguous_format).eval()


def export(model, path):
    """Write `model` to the ONNX file `path`, with the metadata entry "prs"."""
    torch.onnx.export(
        model, torch.zeros(1, 1, 28, 28), str(path), opset_version=OPSET,
        input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
    proto = onnx.load(str(path))
    onnx.helper.set_model_props(
        proto, {"prs": json.dumps(PRS_METADATA, separators=(",", ":"))})
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, str(path))


def run_graph(graph, images):
    """Execute an ONNX `graph` made of the operators of our networks."""
    values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
              for tensor in graph.initializer}
    values[graph.input[0].name] = images
    for node in graph.node:
        args = [values[name] for name in node.input]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Conv":
            result = F.conv2d(*args, stride=attributes["strides"],
                              padding=attributes["pads"][:2])
        elif node.op_type == "MaxPool":
            result = F.max_pool2d(*args, attributes["kernel_shape"],
                                  stride=attributes["strides"])
        elif node.op_type == "Relu":
            result = F.relu(*args)
        elif node.op_type == "Flatten":
            result = args[0].flatten(1)
        elif node.op_type == "Gemm":
            result = F.linear(*args)
        else:
            raise ValueError(f"unexpected operator {node.op_type}")
        values[node.output[0]] = result
    return values[graph.output[0].name]


def report(path, images, labels):
    """Print size, SHA-256 and test accuracy of the ONNX file `path`."""
    data = path.read_bytes()
    graph = onnx.load_from_string(data).graph
    guesses = torch.cat([run_graph(graph, part).argmax(1)
                         for part in images.split(EVALUATION_BATCH)])
    right = guesses == labels
    print(f"{path.name}: {len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}")
    print(f"  accuracy on the {len(labels)} test images: {right.float().mean():.4f}")
    for index, name in enumerate(LABELS):
        print(f"    {name:<12} {right[labels == index].float().mean():.3f}")


def parse_arguments():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description="Train the Fashion-MNIST classifiers and export them to ONNX.")
    parser.add_argument("model", choices=[*RECIPES, "all"])
    parser.add_argument("--epochs", type=int, help="default: as the recipe says")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2,
                        help="CPU threads; changes the rounding (default: 2)")
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"),
                        help="folder of the four IDX files (default: Debian's)")
    parser.add_argument("--output", type=Path, default=Path("retrained"),
                        help="folder for the ONNX files (default: ./retrained)")
    return parser.parse_args()


def main():
    """Train, export and measure the networks asked for."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    training = load_split(arguments.data, "train")
    test = load_split(arguments.data, "t10k")
    for name in RECIPES if arguments.model == "all" else [arguments.model]:
        recipe = RECIPES[name]
        torch.manual_seed(arguments.seed)
        print(f"training {name}", flush=True)
        model = train(recipe, arguments.epochs or recipe.epochs, *training)
        path = arguments.output / f"{name}.onnx"
        export(model, path)
        report(path, *test)


if __name__ == "__main__":
    main()
