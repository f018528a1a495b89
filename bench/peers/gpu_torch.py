#!/usr/bin/env python3
"""PyTorch on a GPU beside `prs-gpu bench gpu`: what scripts/gpu-check.sh runs where torch is installed.

    gpu_torch.py [--device cuda] [--seconds S] [--limit S] [--batch N[,N]] MODEL.onnx...

Each model runs eagerly, as a CUDA graph and by torch.compile (max-autotune), in bf16 and fp32 (without
TF32), with the images on the device (resident) and from page-locked memory and back (host). matmul is
torch's, that is cuBLAS's. On --device cpu there are no CUDA graphs. Every rate stands beside the largest
difference of the scores from the CPU's in fp32 and the share of images whose best class is the same.

Prints JSON objects, one a line: the last holds everything, those before it what was measured by then;
{"unsupported": why} when torch, onnx or the device is missing. What --limit leaves no time for says so.
"""

import argparse
import json
import statistics
import sys
import time


def layers_of(path):
    """The chain of layers of an ONNX model as [(operator, attributes, weights)]."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    layers = []
    for node in graph.node:
        if node.op_type == "Constant":
            continue
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        weights = [constants[name] for name in node.input[1:] if name]
        layers.append((node.op_type, attributes, weights))
    return layers


def module_of(torch, layers):
    """The layers as a torch module that takes u8 pixels [N, 1, H, W]."""
    nn = torch.nn

    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("factor", torch.tensor(1.0 / 255.0))

        def forward(self, pixels):
            return pixels.to(self.factor.dtype) * self.factor

    def parameter(array):
        return nn.Parameter(torch.from_numpy(array.copy()), requires_grad=False)

    parts = [Scale()]
    for kind, attributes, weights in layers:
        if kind == "Conv":
            filters, channels, *kernel = weights[0].shape
            pads = attributes.get("pads", [0, 0, 0, 0])
            if pads[:2] != pads[2:] or attributes.get("group", 1) != 1:
                raise NotImplementedError("a Conv with uneven padding or groups")
            part = nn.Conv2d(channels, filters, kernel, stride=tuple(attributes.get("strides", [1, 1])),
                             padding=tuple(pads[:2]), bias=len(weights) > 1)
            part.weight = parameter(weights[0])
            if len(weights) > 1:
                part.bias = parameter(weights[1])
        elif kind == "Gemm":
            matrix = weights[0] if attributes.get("transB", 0) else weights[0].T
            part = nn.Linear(matrix.shape[1], matrix.shape[0], bias=len(weights) > 1)
            part.weight = parameter(matrix)
            if len(weights) > 1:
                part.bias = parameter(weights[1])
        elif kind == "Relu":
            part = nn.ReLU()
        elif kind == "MaxPool":
            part = nn.MaxPool2d(tuple(attributes["kernel_shape"]), tuple(attributes.get("strides", [1, 1])))
        elif kind in ("Flatten", "Reshape"):
            part = nn.Flatten()
        else:
            raise NotImplementedError(f"operator {kind}")
        parts.append(part)
    return nn.Sequential(*parts).eval()


def median_s(torch, device, seconds, call):
    """The median duration of call(), which ends on the device."""

    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(5):
        call()
    wait()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def as_graph(torch, module, pixels):
    """A captured run of the module: replay() -> its output tensor."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            module(pixels)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        scores = module(pixels)

    def replay():
        graph.replay()
        return scores

    return replay


def measure(torch, device, seconds, module, batch, way, want, images):
    """One cell: a way to run at one batch size."""
    on_host = images[:batch].pin_memory() if device.type == "cuda" else images[:batch]
    pixels = on_host.to(device)
    if way == "graph":
        run = as_graph(torch, module, pixels)
    elif way == "compile":
        # Each batch size is compiled for itself: after a few in one process torch would go on eagerly.
        torch._dynamo.reset()
        # Or every run would begin with a copy of the pixels to where its CUDA graph has them.
        torch._dynamo.mark_static_address(pixels)
        compiled = torch.compile(module, mode="max-autotune", dynamic=False)
        run = lambda: compiled(pixels)  # noqa: E731
    else:
        run = lambda: module(pixels)  # noqa: E731

    def from_host():
        pixels.copy_(on_host, non_blocking=True)
        return run().float().cpu()

    scores = from_host()[:len(want)]  # Of a large batch the first images are compared.
    want = want[:len(scores)]
    resident_s = median_s(torch, device, seconds, run)
    host_s = median_s(torch, device, seconds, from_host)
    agreeing = (scores.argmax(1) == want.argmax(1)).float().mean().item()
    return {"resident_images_per_s": batch / resident_s,
            "images_per_s": batch / host_s, "p50_us": 1e6 * host_s,
            "max_difference": (scores - want).abs().max().item(), "top1_agreement": agreeing}


def matmul_gflops(torch, device, seconds, dtype):
    n = 4096 if device.type == "cuda" else 512
    a = torch.randn(n, n, device=device, dtype=dtype)
    b = torch.randn(n, n, device=device, dtype=dtype)
    return 2.0 * n**3 / median_s(torch, device, seconds, lambda: a @ b) / 1e9


def ways_of(torch, device):
    """What this torch can do on the device, what takes least first."""
    ways = ["eager"]
    if device.type == "cuda":
        ways.append("graph")
    if hasattr(torch, "compile"):  # From 2.0 on.
        ways.append("compile")
    return ways


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one measurement")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds for all of it")
    parser.add_argument("--batch", default="1,64,1024,16384")
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    end = time.monotonic() + options.limit

    def unsupported(why):
        print(json.dumps({"unsupported": why}))
        return 0

    try:
        import onnx  # noqa: F401
        import torch
    except ImportError as error:
        return unsupported(f"python3 has no module {error.name}")
    if options.device == "cuda" and not torch.cuda.is_available():
        return unsupported("torch finds no GPU")
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    dtypes = {"bf16": torch.bfloat16, "fp32": torch.float32}
    batches = [int(one) for one in options.batch.split(",")]
    report = {"torch": torch.__version__, "cuda": torch.version.cuda, "device": options.device,
              "matmul_gflops": {}, "models": []}
    with torch.inference_mode():
        for name, dtype in dtypes.items():
            report["matmul_gflops"][name] = matmul_gflops(torch, device, options.seconds, dtype)
        torch.manual_seed(1)
        images = torch.randint(0, 256, (max(batches), 1, 28, 28), dtype=torch.uint8)
        layers = {path: layers_of(path) for path in options.models}
        want = {path: module_of(torch, layers[path])(images[:1024]) for path in options.models}
        cells = {path: [] for path in options.models}
        report["models"] = [{"model": path, "cells": cells[path]} for path in options.models]
        for way in ways_of(torch, device):
            for name, dtype in dtypes.items():
                for path in options.models:
                    module = module_of(torch, layers[path]).to(device=device, dtype=dtype)
                    for batch in batches:
                        cell = {"precision": name, "way": way, "batch": batch}
                        cells[path].append(cell)
                        if time.monotonic() > end:
                            cell["not_run"] = "no time left"
                            continue
                        try:
                            cell.update(measure(torch, device, options.seconds, module, batch, way,
                                                want[path], images))
                        except Exception as error:  # A way that fails here must not take the others along.
                            cell["failed"] = str(error)[:300]
                    print(json.dumps(report), flush=True)
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
