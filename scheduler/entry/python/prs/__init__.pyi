from os import PathLike
from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from numpy.typing import NDArray

__version__: str

class Error(Exception):
    """Every failure of the engine."""

    code: str
    """Its kind: "invalid argument", "invalid model", "unsupported", "out of memory", "unavailable",
    "device lost", "io", "internal"."""

class InvalidArgument(Error, ValueError):
    """An argument, or an array's shape or type, does not fit."""

class OutOfMemory(Error, MemoryError):
    """Memory of the host or the device does not suffice: a smaller batch may."""

class FileScores(NamedTuple):
    scores: NDArray[np.float32]
    """[files, classes]; NaN in the row of a file that failed."""
    errors: List[Optional[str]]
    """For each file None, or why it could not be scored (begins with its path)."""

class Engine:
    """A model, ready to score images. Immutable: several threads may share one."""

    def __init__(
        self,
        model: Union[str, "PathLike[str]"],
        *,
        device: str = "auto",
        precision: str = "fp32",
        threads: Optional[int] = None,
        max_batch: int = 0,
        output: str = "",
        labels: Optional[Sequence[str]] = None,
        scale: Optional[float] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
        invert: Optional[bool] = None,
        channel_order: Optional[str] = None,
        layout: Optional[str] = None,
        channels: Optional[int] = None,
        height: Optional[int] = None,
        width: Optional[int] = None,
    ) -> None:
        """Loads an ONNX model and prepares it.

        device: "auto", "cpu", "cuda" or "cuda:N". precision: what products are computed in:
        "fp32", "tf32", "bf16", "fp16" or "int8"; Error (unsupported) names what the device has.
        threads: of one run; 0: all cores; None: one inside an entry script's worker, all cores
        elsewhere. max_batch: images that one thread computes at once; 0: 256, on a GPU up to 4096.
        output: name of the output to score; "": the model's first. labels: one
        name a class. The rest overrules what the model's metadata and sidecar file say about its
        images: value = (pixel * scale - mean) / std; channel_order "rgb" or "bgr"; layout "nchw",
        "nhwc", "nhw" or "flat"; extents where the model leaves them open.

        Raises InvalidArgument, OutOfMemory or Error (invalid model, unsupported, io).
        """
    def run(
        self,
        images: Union[NDArray[np.uint8], NDArray[np.floating]],
        *,
        out: Optional[NDArray[np.float32]] = None,
    ) -> NDArray[np.float32]:
        """Scores a batch: [n, classes].

        images: uint8 pixels, to which the preprocessing is applied, or floats that are the model's
        input already. Shape [n, ...] with input_shape, or [n, h, w, c], [n, c, h, w], [n, h, w],
        [n, h * w * c]. Not copied when contiguous and uint8 or float32. out: where to write the
        scores, writable float32 [n, classes] in C order. Other Python threads run meanwhile.

        Raises InvalidArgument naming the shapes that fit, TypeError for other element types.
        """
    def run_files(
        self,
        paths: Sequence[Union[str, "PathLike[str]"]],
        *,
        resize: bool = False,
        max_pixels: int = 67108864,
    ) -> FileScores:
        """Reads image files (PNG, JPEG, BMP, PGM/PPM, TIFF) on `threads` threads and scores them.

        A file that cannot be read, or has another size than the model takes, fails alone. resize:
        scale images to the model's size instead. max_pixels: larger images are refused undecoded.
        """
    def label(self, index: int) -> str:
        """The name of a class; its number in digits when the model has no names."""
    @property
    def classes(self) -> int:
        """Scores per image."""
    @property
    def labels(self) -> List[str]:
        """One name a class; empty when the model has none."""
    @property
    def input_shape(self) -> Tuple[int, ...]:
        """Of one image in the model's own layout: (1, 28, 28) for a model of [n, 1, 28, 28]."""
    @property
    def device(self) -> str:
        """What it runs on: "cpu", "cuda:0"."""
    @property
    def precision(self) -> str:
        """What products are computed in: "fp32", "bf16"."""
    @property
    def threads(self) -> int:
        """Of one run."""
