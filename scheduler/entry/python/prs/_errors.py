"""What the engine's failures are in Python, and what run_files() returns."""

from collections import namedtuple

FileScores = namedtuple("FileScores", ["scores", "errors"], module="prs")


class Error(Exception):
    """Every failure of the engine. `code` is its kind, such as "invalid model"."""

    code = "internal"
    __module__ = "prs"


class InvalidArgument(Error, ValueError):
    """An argument, or an array's shape or type, does not fit."""

    __module__ = "prs"


class OutOfMemory(Error, MemoryError):
    """Memory of the host or the device does not suffice: a smaller batch may."""

    __module__ = "prs"


_TYPES = {"invalid argument": InvalidArgument, "out of memory": OutOfMemory}


def make_error(code, message):
    error = _TYPES.get(code, Error)(message)
    error.code = code
    return error
