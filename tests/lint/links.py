#!/usr/bin/env python3
"""Check that the files which the documents name exist.

In every Markdown file: the targets of relative links, and names in backticks
that begin with one of the project's folders (`scripts/test.sh`).
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("core", "cuda", "cli", "scheduler", "cmake", "docs", "scripts", "tests", "models",
           "examples", "bench", ".ci")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PATH = re.compile(r"`((?:%s)/[\w./-]*)`" % "|".join(re.escape(f) for f in FOLDERS))


def problems_of(document):
    """Yield one line for each name in `document` that leads nowhere."""
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{document.relative_to(ROOT)}:{number}"
        for target in LINK.findall(line):
            if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists():
                yield f"{where}: the link target {target} does not exist"
        for name in PATH.findall(line):
            if not (ROOT / name).exists():
                yield f"{where}: {name} does not exist"


def main():
    """Check all documents; return the exit status."""
    documents = [path for path in sorted(ROOT.rglob("*.md"))
                 if not {"build", ".git", "node_modules"} & set(path.relative_to(ROOT).parts)]
    problems = [problem for document in documents for problem in problems_of(document)]
    print("\n".join(problems) if problems else f"{len(documents)} documents")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
