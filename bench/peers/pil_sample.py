"""The way of PRS's published samples: PIL, one image at a time, mini-batches of ten, TorchScript.

    pil_sample.py convert MODEL.onnx MODULE.pt      the model as a frozen TorchScript module
    pil_sample.py run MODULE.pt LABELS FOLDER OUTPUT PROCESSES
    pil_sample.py version

Each process imports, loads the module and takes every PROCESSES-th mini-batch; rows "name: class" are
appended to OUTPUT, those of a mini-batch by one write.
"""

import os
import sys
from pathlib import Path

MINI_BATCH_SIZE = 10


def layer(node, constants):
    """The module of an ONNX node of the models that we ship."""
    import torch
    from onnx import helper
    from torch import nn

    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    weights = [constants[name] for name in node.input if name in constants]
    if node.op_type == "Relu":
        return nn.ReLU()
    if node.op_type == "Flatten":
        return nn.Flatten()
    if node.op_type == "MaxPool":
        return nn.MaxPool2d(attributes["kernel_shape"], attributes["strides"])
    if node.op_type == "Gemm":
        outputs, inputs = weights[0].shape
        module = nn.Linear(inputs, outputs)
    elif node.op_type == "Conv":
        outputs, inputs = weights[0].shape[:2]
        module = nn.Conv2d(inputs, outputs, attributes["kernel_shape"], padding=attributes["pads"][:2])
    else:
        raise SystemExit(f"pil_sample.py: {node.op_type}: no module for this operator")
    with torch.no_grad():
        module.weight.copy_(torch.tensor(weights[0]))
        module.bias.copy_(torch.tensor(weights[1]))
    return module


def convert(model_path, module_path):
    import onnx
    import torch
    from onnx import numpy_helper

    graph = onnx.load(model_path).graph
    constants = {value.name: numpy_helper.to_array(value) for value in graph.initializer}
    model = torch.nn.Sequential(*(layer(node, constants) for node in graph.node)).eval()
    torch.jit.freeze(torch.jit.trace(model, torch.zeros(1, 1, 28, 28))).save(module_path)


def work(module_path, labels, files, output):
    import numpy as np
    import torch
    from PIL import Image

    torch.set_num_threads(1)
    model = torch.jit.load(module_path).eval()

    def run(mini_batch):
        rows = []
        for path in mini_batch:
            pixels = np.asarray(Image.open(path), dtype=np.float32) / 255
            with torch.no_grad():
                scores = model(torch.from_numpy(pixels)[None, None])
            rows.append(f"{path.name}: {labels[int(scores.argmax())]}\n")
        return rows

    rows = os.open(output, os.O_WRONLY | os.O_APPEND)
    for mini_batch in files:
        os.write(rows, "".join(run(mini_batch)).encode())
    os.close(rows)


def run_all(module_path, label_file, folder, output, processes):
    labels = Path(label_file).read_text(encoding="utf-8").splitlines()
    files = sorted(Path(folder).glob("*.png"))
    mini_batches = [files[i : i + MINI_BATCH_SIZE] for i in range(0, len(files), MINI_BATCH_SIZE)]
    Path(output).write_bytes(b"")
    children = []
    for process in range(processes):
        child = os.fork()
        if child == 0:
            work(module_path, labels, mini_batches[process::processes], output)
            sys.stdout.flush()
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] != 0 for child in children):
        raise SystemExit("pil_sample.py: a process failed")


if sys.argv[1] == "convert":
    convert(*sys.argv[2:])
elif sys.argv[1] == "run":
    run_all(*sys.argv[2:6], int(sys.argv[6]))
else:
    import PIL
    import torch

    print(f"Python {sys.version.split()[0]}, PIL {PIL.__version__}, torch {torch.__version__}")
