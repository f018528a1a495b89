"""The package prs in a plain interpreter: engine_test.py PACKAGES PROGRAM MODELS."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGES, PROGRAM, MODELS = sys.argv[1], sys.argv[2], Path(sys.argv[3])
sys.path.insert(0, PACKAGES)

import prs  # noqa: E402  It is looked for where the test says.

LENET = MODELS / "lenet.onnx"


def pixels(count):
    return np.random.default_rng(7).integers(0, 256, (count, 28, 28), np.uint8)


class EngineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = prs.Engine(LENET, device="cpu", threads=1)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def images(self, count):
        """PNG files, their paths and pixels."""
        array = pixels(count)
        paths = [self.folder / f"{i}.png" for i in range(count)]
        for path, image in zip(paths, array):
            Image.fromarray(image).save(path)
        return paths, array

    def test_says_what_the_model_is(self):
        self.assertEqual(self.engine.classes, 10)
        self.assertEqual(self.engine.input_shape, (1, 28, 28))
        self.assertEqual(len(self.engine.labels), 10)
        self.assertEqual(self.engine.label(9), self.engine.labels[9])
        self.assertEqual((self.engine.device, self.engine.threads), ("cpu", 1))
        self.assertEqual(repr(self.engine), f"prs.Engine('{LENET}', device='cpu', "
                         "precision='fp32', threads=1)")
        with self.assertRaises(IndexError):
            self.engine.label(10)
        with self.assertRaises(IndexError):
            self.engine.label(-1)

    def test_scores_equal_those_of_the_program(self):
        paths, array = self.images(3)
        command = [PROGRAM, "score", "--model", LENET, "--format", "jsonl", "--top-k", "10",
                   "--device", "cpu", *paths]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        scores = self.engine.run(array)
        self.assertEqual((scores.dtype, scores.shape), (np.float32, (3, 10)))
        for line, row in zip(lines.splitlines(), scores, strict=True):
            for entry in json.loads(line)["top"]:
                self.assertAlmostEqual(entry["score"], float(row[entry["index"]]), places=4)

    def test_all_forms_of_the_same_images_give_the_same_scores(self):
        array = pixels(4)
        expected = self.engine.run(array)
        wide = np.zeros((4, 28, 56), np.uint8)
        wide[:, :, ::2] = array
        for form in (array.reshape(4, 1, 28, 28), array.reshape(4, 28, 28, 1),
                     array.reshape(4, 784), wide[:, :, ::2], np.asfortranarray(array)):
            np.testing.assert_array_equal(self.engine.run(form), expected)

    def test_floats_are_the_models_input_already(self):
        raw = prs.Engine(LENET, device="cpu", threads=1, scale=1, mean=[0], std=[1])
        values = pixels(2).reshape(2, 1, 28, 28)
        expected = raw.run(values)
        for dtype in (np.float32, np.float64, ">f4"):
            np.testing.assert_allclose(self.engine.run(values.astype(dtype)), expected, rtol=1e-5)

    def test_writes_into_the_array_it_is_given(self):
        array = pixels(5)
        rows = np.full((7, 10), -1, np.float32)
        result = self.engine.run(array, out=rows[1:6])
        self.assertTrue(np.shares_memory(result, rows))
        np.testing.assert_array_equal(rows[1:6], self.engine.run(array))
        self.assertTrue((rows[[0, 6]] == -1).all())
        locked = np.empty((5, 10), np.float32)
        locked.flags.writeable = False
        for wrong in (np.empty((5, 9), np.float32), np.empty((5, 10)), locked,
                      np.empty((10, 5), np.float32).T):
            with self.assertRaisesRegex(prs.InvalidArgument, r"float32 array .* \(5, 10\)"):
                self.engine.run(array, out=wrong)

    def test_no_image_is_no_error(self):
        self.assertEqual(self.engine.run(pixels(0)).shape, (0, 10))
        scores, errors = self.engine.run_files([])
        self.assertEqual((scores.shape, errors), ((0, 10), []))

    def test_what_does_not_fit_is_told(self):
        with self.assertRaisesRegex(prs.InvalidArgument, "28") as caught:
            self.engine.run(np.zeros((2, 27, 28), np.uint8))
        self.assertEqual(caught.exception.code, "invalid argument")
        self.assertIsInstance(caught.exception, ValueError)
        with self.assertRaisesRegex(prs.InvalidArgument, "batch of images"):
            self.engine.run(np.array(1, np.float32))
        with self.assertRaisesRegex(prs.InvalidArgument, "dimensions"):
            self.engine.run(np.zeros((1,) * 9, np.uint8))
        with self.assertRaisesRegex(TypeError, "int64.*uint8"):
            self.engine.run(np.zeros((2, 28, 28), np.int64))
        with self.assertRaisesRegex(prs.Error, "nowhere.onnx") as caught:
            prs.Engine("nowhere.onnx")
        self.assertEqual(caught.exception.code, "io")
        (self.folder / "text.onnx").write_text("no model")
        with self.assertRaisesRegex(prs.Error, "text.onnx") as caught:
            prs.Engine(self.folder / "text.onnx")
        self.assertEqual(caught.exception.code, "invalid model")
        with self.assertRaisesRegex(prs.InvalidArgument, "rgb, bgr"):
            prs.Engine(LENET, channel_order="gbr")
        with self.assertRaisesRegex(prs.InvalidArgument, "device"):
            prs.Engine(LENET, device="abacus")
        with self.assertRaisesRegex(prs.InvalidArgument, "unknown precision 'fp31'; expected fp32"):
            prs.Engine(LENET, precision="fp31")
        with self.assertRaisesRegex(prs.Error, "cpu does not compute in tf32; it has fp32"):
            prs.Engine(LENET, device="cpu", precision="tf32")

    def test_files_fail_alone(self):
        for threads in (1, 3):
            engine = prs.Engine(LENET, device="cpu", threads=threads)
            paths, array = self.images(6)
            paths[0].write_bytes(b"no image")
            paths[3] = str(self.folder / "nowhere.png")
            Image.fromarray(np.zeros((30, 30), np.uint8)).save(paths[5])
            scores, errors = engine.run_files(paths)
            good = [1, 2, 4]
            np.testing.assert_array_equal(scores[good], engine.run(array[good]))
            self.assertTrue(np.isnan(scores[[0, 3, 5]]).all())
            for i in range(6):
                if i in good:
                    self.assertIsNone(errors[i])
                else:
                    self.assertIn(str(paths[i]), errors[i])
            self.assertIsNone(engine.run_files(paths, resize=True).errors[5])
            self.assertIn("pixels", engine.run_files(paths, max_pixels=100).errors[1])

    def test_other_threads_run_meanwhile(self):
        # A run that kept the interpreter's lock would keep `main` from ever counting: the batch is
        # run again until the other thread has been seen at work during a run.
        array = pixels(512)
        expected = self.engine.run(array)
        state = {"running": False, "seen": False, "stop": False}

        def watch():
            while not state["seen"] and not state["stop"]:
                state["seen"] = state["running"]

        watcher = threading.Thread(target=watch)
        watcher.start()
        results = []
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1000)  # Python gives its lock away only where it is released.
        try:
            for _ in range(50):
                state["running"] = True
                results.append(self.engine.run(array))
                state["running"] = False
                if state["seen"]:
                    break
        finally:
            state["stop"] = True
            sys.setswitchinterval(interval)
            watcher.join()
        self.assertTrue(state["seen"])
        np.testing.assert_array_equal(results[-1], expected)

    def test_several_threads_share_an_engine(self):
        array = pixels(64)
        expected = self.engine.run(array)
        results = [None] * 4

        def score(i):
            results[i] = self.engine.run(array)

        threads = [threading.Thread(target=score, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            np.testing.assert_array_equal(result, expected)

    def test_another_python_is_told(self):
        shutil.copytree(Path(prs.__file__).parent, self.folder / "prs",
                        ignore=shutil.ignore_patterns("__pycache__", "_engine.*"))
        foreign = self.folder / "prs/_engine.cpython-39-x86_64-linux-gnu.so"
        foreign.touch()
        result = subprocess.run([sys.executable, "-B", "-c", "import prs"], cwd=self.folder,
                                capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("ImportError: prs was built for another Python", result.stderr)
        self.assertIn(str(foreign), result.stderr)

    def test_the_stub_describes_what_there_is(self):
        stub = ast.parse((Path(prs.__file__).parent / "__init__.pyi").read_text())
        classes = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef)}
        for name, node in classes.items():
            real = getattr(prs, name)
            members = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
            for member in members:
                self.assertTrue(hasattr(real, member), f"{name}.{member}")
            if name == "Engine":
                public = {member for member in dir(real) if not member.startswith("_")}
                self.assertEqual(public, members - {"__init__"})
        self.assertEqual(set(classes) | {"__version__"}, set(prs.__all__))
        self.assertTrue((Path(prs.__file__).parent / "py.typed").exists())
        self.assertIn(prs.__version__, subprocess.run(
            [PROGRAM, "--version"], check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    # Nothing on PYTHONPATH may stand in for the package under test.
    assert os.path.realpath(prs.__file__).startswith(os.path.realpath(PACKAGES))
    unittest.main(argv=sys.argv[:1])
