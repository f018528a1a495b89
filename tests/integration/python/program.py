"""What the tests that run prs-gpu from Python share. Called as TEST.py PROGRAM SOURCES."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, SOURCES = sys.argv[1], Path(sys.argv[2])


class ProgramTest(unittest.TestCase):
    """A folder, and the program run there with a history of its own."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(os.path.realpath(folder.name))
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("PRS_PARAM_")}
        self.environment["PRS_HOME"] = str(self.folder / "home")

    def write(self, name, text=""):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def items(self, count):
        """Files items/0.txt, items/1.txt, ..."""
        for i in range(count):
            self.write(f"items/{i}.txt", str(i))
        return self.folder / "items"

    def prs_gpu(self, *arguments, code=0, **more):
        """Runs the program to its end, which must have this exit code."""
        more.setdefault("stdin", subprocess.DEVNULL if "input" not in more else None)
        if more["stdin"] is None:
            del more["stdin"]
        result = subprocess.run(
            [PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder,
            env=self.environment | more.pop("env", {}), timeout=120, check=False, **more)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def text(self, name):
        return (self.folder / name).read_text()


def main():
    unittest.main(argv=sys.argv[:1])
