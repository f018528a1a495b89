"""prs-gpu's inference engine: scores images with an ONNX model, NumPy in and out.

    import prs
    engine = prs.Engine("lenet.onnx")
    scores = engine.run(images)                  # uint8 [n, 28, 28] -> float32 [n, classes]
    scores, errors = engine.run_files(paths)     # decoded by prs-gpu's own readers
"""

try:
    from prs._engine import Engine, __version__
except ModuleNotFoundError as error:
    if error.name != "prs._engine":
        raise
    import glob
    import os
    import sys

    built = glob.glob(os.path.join(os.path.dirname(__file__), "_engine.*"))
    raise ImportError(
        f"prs was built for another Python than {sys.executable} ({sys.version.split()[0]}): "
        f"{', '.join(built) or 'no _engine is there'}; start the interpreter that it was built "
        "with, or build prs-gpu for yours") from error
from prs._errors import Error, FileScores, InvalidArgument, OutOfMemory

__all__ = ["Engine", "Error", "FileScores", "InvalidArgument", "OutOfMemory", "__version__"]
