"""prs-gpu's inference engine: scores images with an ONNX model, NumPy in and out.

    import prs
    engine = prs.Engine("lenet.onnx")
    scores = engine.run(images)                  # uint8 [n, 28, 28] -> float32 [n, classes]
    scores, errors = engine.run_files(paths)     # decoded by prs-gpu's own readers
"""

from prs._engine import Engine, __version__
from prs._errors import Error, FileScores, InvalidArgument, OutOfMemory

__all__ = ["Engine", "Error", "FileScores", "InvalidArgument", "OutOfMemory", "__version__"]
