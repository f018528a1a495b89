"""Metrics of entry scripts, from Run.log() to `prs-gpu metrics`: see program.py."""

import json
import os
import signal
import subprocess

from program import PROGRAM, ProgramTest, main

SCRIPT = """
import os
from azureml.core import Run
run_ = Run.get_context()

def init():
    run_.log("loaded", 1)

def run(mini_batch):
    name = os.path.basename(mini_batch[0])[:-4]
    run_.log("seen", int(name))
    marker = f"{MARKERS}/{name}"
    first = not os.path.exists(marker)
    open(marker, "w").close()
    misbehave(int(name), first)
    run_.log("done", int(name))
    return mini_batch
"""


class Metrics(ProgramTest):
    def setUp(self):
        super().setUp()
        (self.folder / "markers").mkdir()

    def script(self, misbehave):
        self.write("score.py", f"MARKERS = {str(self.folder / 'markers')!r}\n{SCRIPT}\n{misbehave}")
        return ("run", "--entry-script", "score.py", "--input", self.items(4), "--output", "out",
                "--mini-batch-size", "1", "--workers", "2", "--set", "error_threshold=0")

    def metrics(self, *more):
        return json.loads(self.prs_gpu("metrics", "out", "--format", "json", *more).stdout)

    def values(self, name, *more):
        return sorted(one["value"] for one in self.metrics(*more) if one["name"] == name)

    def test_a_mini_batch_counts_once_however_often_it_was_tried(self):
        self.prs_gpu(*self.script("""
def misbehave(name, first):
    if first and name == 1:
        raise ValueError("once")
    if first and name == 2:
        os._exit(3)
"""))
        self.assertEqual(self.values("seen"), [0, 1, 2, 3])
        self.assertEqual(self.values("done"), [0, 1, 2, 3])
        self.assertEqual(self.values("seen", "--all-tries"), [0, 1, 1, 2, 2, 3])
        tries = {(one["mini_batch"], one["attempt"], one["accepted"])
                 for one in self.metrics("--all-tries") if one["name"] == "seen"}
        self.assertEqual(tries, {(0, 1, True), (1, 1, False), (1, 2, True), (2, 1, False),
                                 (2, 2, True), (3, 1, True)})
        # One init() a worker: the replacement of the one that ended, too.
        self.assertGreaterEqual(len(self.values("loaded")), 2)
        rows = self.prs_gpu("metrics", "out", "--format", "csv").stdout.splitlines()
        self.assertEqual(rows[0], "time,node,process,mini_batch,attempt,accepted,kind,name,value")
        self.assertEqual(sum(row.endswith(",true,value,seen,1") for row in rows), 1)
        prometheus = self.text("out/logs/user/metrics.prom")
        self.assertRegex(prometheus, r'(?m)^prs_metric_sum\{run="[^"]+",name="seen"\} 6$')
        self.assertRegex(prometheus, r'(?m)^prs_metric_count\{run="[^"]+",name="done"\} 4$')
        self.assertEqual(prometheus,
                         self.prs_gpu("metrics", "out", "--format", "prometheus").stdout)
        self.assertFalse((self.folder / "out/.prs/metrics").exists())

    def test_a_killed_job_loses_none_and_counts_none_twice(self):
        # Mini-batch 2 tells that it runs and then waits for the end of the job.
        command = self.script("""
def misbehave(name, first):
    if first and name == 2:
        print("waiting", file=open(FIFO, "w"), flush=True)
        import signal
        signal.pause()
""")
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        script = self.folder / "score.py"
        script.write_text(f"FIFO = {str(fifo)!r}\n" + script.read_text())
        job = subprocess.Popen([PROGRAM, *map(str, command)], cwd=self.folder,
                               env=self.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with open(fifo, encoding="utf-8") as told:
                self.assertEqual(told.read(), "waiting\n")
        finally:
            job.send_signal(signal.SIGKILL)
            job.wait()
        self.prs_gpu("resume", "out")
        self.assertEqual(self.values("seen"), [0, 1, 2, 3])
        self.assertEqual(self.values("done"), [0, 1, 2, 3])
        # What the killed worker had logged came in at the resume.
        self.assertEqual(self.values("seen", "--all-tries").count(2), 2)
        self.assertEqual(self.values("done", "--all-tries").count(2), 1)

    def test_forked_children_and_numbers_that_json_has_no_form_for(self):
        self.write("score.py", """
import os
import numpy as np
from azureml.core import Run
def run(mini_batch):
    run_ = Run.get_context()
    run_.log("loss", float("nan"))
    run_.log_list("list", [1, float("inf"), np.float32(0.5)])
    run_.log("score", np.int64(3))
    child = os.fork()
    if child == 0:
        run_.log("child", "said")
        os._exit(0)
    os.waitpid(child, 0)
    return mini_batch
""")
        self.prs_gpu("run", "--entry-script", "score.py", "--input", self.items(1), "--output",
                     "out", "--workers", "1")
        self.assertEqual({one["name"]: one["value"] for one in self.metrics()},
                         {"loss": "NaN", "list": [1, "Infinity", 0.5], "score": 3, "child": "said"})

    def test_a_job_without_metrics_has_no_file_of_them(self):
        self.write("score.py", "def run(mini_batch): return mini_batch\n")
        self.prs_gpu("run", "--entry-script", "score.py", "--input", self.items(1), "--output",
                     "out")
        self.assertIn("has logged no metrics", self.prs_gpu("metrics", "out").stderr)
        self.assertFalse((self.folder / "out/logs/user/metrics.prom").exists())


if __name__ == "__main__":
    main()
