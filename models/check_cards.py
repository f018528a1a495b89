#!/usr/bin/env python3
"""Check that each model card states the SHA-256 of its ONNX file.

    check_cards.py [FOLDER]

For every NAME.onnx in FOLDER (default: the folder of this script) the card
NAME.md must hold one SHA-256 sum, in hexadecimal, equal to that of the file.
Exits 0 if all agree, 1 otherwise.  Needs only Python's standard library.
"""

import hashlib
import re
import sys
from pathlib import Path


def problem_of(model):
    """Return what is wrong with the card of the file `model`, or None."""
    card = model.with_suffix(".md")
    if not card.is_file():
        return f"{model.name}: there is no card {card.name}"
    stated = re.findall(r"\b[0-9a-f]{64}\b", card.read_text(encoding="utf-8"))
    if len(stated) != 1:
        return f"{card.name}: expected one SHA-256 sum, found {len(stated)}"
    actual = hashlib.sha256(model.read_bytes()).hexdigest()
    if stated[0] != actual:
        return f"{card.name}: states {stated[0]}, but {model.name} has {actual}"
    return None


def main():
    """Check all cards of the folder; return the exit status."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    models = sorted(folder.glob("*.onnx"))
    if not models:
        print(f"{folder}: no ONNX files to check", file=sys.stderr)
        return 1
    problems = [problem for problem in map(problem_of, models) if problem]
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(models)} cards agree with their files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
