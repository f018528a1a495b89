"""`prs-gpu run --debug`, `--debugpy` and `replay`: one mini-batch in the foreground."""

import importlib.util
import json
import os
import pty
import socket
import subprocess
import unittest

from program import PROGRAM, SOURCES, ProgramTest, main

SCRIPT = """
import os, sys
from azureml_user.parallel_run import EntryScript
def init(): print("init", sys.stdin.fileno())
def run(mini_batch):
    print("run", mini_batch.task_id)
    EntryScript().logger.info("here")
    open(os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], "written"), "w").close()
    return [os.path.basename(path) for path in mini_batch]
def shutdown(): print("shutdown", file=sys.stderr)
"""


class Foreground(ProgramTest):
    def setUp(self):
        super().setUp()
        self.items(5)
        self.command = ("run", "--entry-script", "score.py", "--input", "items", "--output", "out",
                        "--mini-batch-size", "2", "--timeout", "0.001")
        self.write("score.py", SCRIPT)

    def files(self, folder):
        return {path: path.stat().st_mtime_ns for path in (self.folder / folder).rglob("*")
                if "debug" not in path.relative_to(self.folder / folder).parts}

    def test_one_mini_batch_goes_to_the_terminal(self):
        result = self.prs_gpu(*self.command, "--debug")
        self.assertEqual(result.stdout, "init 0\nrun 0\n0.txt\n1.txt\n")
        self.assertIn("mini-batch 0 in the foreground: 2 items", result.stderr)
        self.assertIn("shutdown\n", result.stderr)
        self.assertIn("mini-batch 0: 2 rows for 2 items", result.stderr)
        self.assertEqual(self.files("out"), {})
        self.assertTrue((self.folder / "out/debug/written").exists())
        log = self.text("out/debug/logs/user/entry_script_log/0/process000.log.txt")
        self.assertIn("here", log)

    def test_an_earlier_job_is_left_as_it_is(self):
        command = [word for word in self.command if word not in ("--timeout", "0.001")]
        self.prs_gpu(*command)
        before = self.files("out")
        self.prs_gpu(*self.command, "--debug")
        self.assertEqual(self.files("out"), before)

    def test_exceptions_come_with_their_trace(self):
        self.write("score.py", "def run(mini_batch):\n    return missing\n")
        result = self.prs_gpu(*self.command, "--debug", code=1)
        self.assertIn("Traceback (most recent call last):", result.stderr)
        self.assertIn("NameError: name 'missing' is not defined (score.py:2 in run)", result.stderr)

    def test_a_model_runs_too(self):
        result = self.prs_gpu("run", "--model", SOURCES / "models/lenet.onnx", "--input",
                              self.write("items/x.png", "no image"), "--output", "out", "--debug")
        self.assertEqual(result.stdout, "")
        self.assertIn("items/x.png", result.stderr)
        self.assertIn("0 rows for 1 items", result.stderr)

    def test_no_items_and_wrong_options_are_usage_errors(self):
        (self.folder / "empty").mkdir()
        result = self.prs_gpu("run", "--entry-script", "score.py", "--input", "empty", "--output",
                              "out", "--debug", code=2)
        self.assertIn("inputs: there is no item in them", result.stderr)
        result = self.prs_gpu("run", "--model", SOURCES / "models/lenet.onnx", "--input",
                              self.write("x.png"), "--output", "out", "--debugpy", "5678", code=2)
        self.assertIn("only a Python script", result.stderr)

    def test_pdb_has_the_terminal(self):
        self.write("score.py", "def run(mini_batch):\n    secret = 6 * 7\n    breakpoint()\n"
                   "    return mini_batch[:1]\n")
        terminal, other = pty.openpty()
        self.addCleanup(os.close, terminal)
        process = subprocess.Popen([PROGRAM, *self.command, "--debug"], cwd=self.folder,
                                   env=self.environment | {"TERM": "dumb"}, stdin=other,
                                   stdout=other, stderr=other, start_new_session=True)
        os.close(other)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        seen = self.read_until(terminal, "(Pdb) ")
        os.write(terminal, b"p 'secret', secret\n")
        seen = self.read_until(terminal, "('secret', 42)")
        os.write(terminal, b"continue\n")
        seen = self.read_until(terminal, "1 rows for 2 items")
        self.assertIn("items/0.txt", seen)
        self.assertEqual(process.wait(60), 0)

    def read_until(self, terminal, text):
        seen = ""
        while text not in seen:
            try:
                part = os.read(terminal, 4096)
            except OSError:
                part = b""
            self.assertTrue(part, f"no {text!r} in {seen!r}")
            seen += part.decode()
        return seen


class Replay(ProgramTest):
    def test_the_recorded_inputs_and_settings_are_used(self):
        self.items(6)
        self.write("score.py", "import os, sys\ndef run(mini_batch):\n"
                   "    if '--fail' in sys.argv and mini_batch[0].endswith('2.txt'):\n"
                   "        raise ValueError('two ' + os.environ['AZUREML_RUN_ID'])\n"
                   "    return [os.path.basename(path) for path in mini_batch]\n")
        self.prs_gpu("run", "--entry-script", "score.py", "--input", "items", "--output", "out",
                     "--mini-batch-size", "2", "--max-try", "1", "--name", "replayed",
                     "--set", "arguments=--fail 1", code=3)
        self.items(20)  # Files that have come since change no mini-batch.
        self.assertEqual(self.prs_gpu("replay", "out", "--mini-batch", "2").stdout,
                         "4.txt\n5.txt\n")
        result = self.prs_gpu("replay", "out", "--mini-batch", "1", code=1)
        self.assertRegex(result.stderr, r"ValueError: two replayed-\S+ \(score.py:4 in run\)")
        # A job that has moved, and is looked at while its listing is not complete.
        (self.folder / "out").rename(self.folder / "moved")
        listing = self.folder / "moved/.prs/listing"
        cut = listing.read_bytes()[:-3]
        listing.write_bytes(cut)
        self.assertEqual(self.prs_gpu("replay", "moved", "--mini-batch", "0").stdout,
                         "0.txt\n1.txt\n")
        self.assertEqual(listing.read_bytes(), cut)
        for wrong in ("3", "-1"):
            result = self.prs_gpu("replay", "moved", "--mini-batch=" + wrong, code=2)
            self.assertIn(f"mini-batch {wrong} is not among the 3", result.stderr)
        result = self.prs_gpu("replay", "items", "--mini-batch", "0", code=2)
        self.assertIn("items holds no job to replay", result.stderr)

    def test_pieces_of_tables(self):
        self.write("table.csv", "a,b\n1,2\n3,4\n5,6\n")
        self.write("score.py", "def run(frame): return frame.assign(c=frame.a + frame.b)\n")
        self.prs_gpu("run", "--entry-script", "score.py", "--input", "table.csv", "--output", "out",
                     "--mini-batch-size", "rows:2", "--output-format", "csv")
        self.assertEqual(self.prs_gpu("replay", "out", "--mini-batch", "1").stdout,
                         "a,b,c\n5,6,11\n")


class DebugAdapter:
    """One end of the Debug Adapter Protocol, as an editor speaks it."""

    def __init__(self, port):
        self.number = 0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def request(self, command, **arguments):
        self.number += 1
        body = json.dumps({"seq": self.number, "type": "request", "command": command,
                           "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def wait_for(self, kind, name):
        while True:
            length = 0
            while (line := self.file.readline().strip()):
                length = int(line.rpartition(b":")[2])
            message = json.loads(self.file.read(length))
            if (message["type"], message.get("command", message.get("event"))) == (kind, name):
                return message


class Debugpy(ProgramTest):
    def setUp(self):
        super().setUp()
        self.items(1)
        self.write("score.py", "def run(mini_batch):\n    return mini_batch\n")
        self.command = ("run", "--entry-script", "score.py", "--input", "items", "--output", "out")

    def test_says_what_to_install(self):
        # A package of that name that cannot be imported, whether the real one is there or not.
        self.write("hidden/debugpy.py", "raise ImportError('hidden')\n")
        result = self.prs_gpu(*self.command, "--debugpy", "5678", code=1,
                              env={"PYTHONPATH": str(self.folder / "hidden")})
        self.assertIn("--debugpy needs the package debugpy", result.stderr)
        self.assertIn("-m pip install debugpy", result.stderr)

    @unittest.skipUnless(importlib.util.find_spec("debugpy"), "python3-debugpy is not installed")
    def test_an_editor_attaches_before_the_script_is_loaded(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen([PROGRAM, *self.command, "--debugpy", str(port)],
                                   cwd=self.folder, env=self.environment, stderr=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        while f"waiting for a debugger at 127.0.0.1:{port}" not in (
                line := process.stderr.readline()):
            self.assertTrue(line, "it ended")
        adapter = DebugAdapter(port)
        self.addCleanup(adapter.close)
        adapter.request("initialize", adapterID="prs-gpu", clientID="test")
        adapter.wait_for("response", "initialize")
        adapter.request("attach", connect={"host": "127.0.0.1", "port": port})
        adapter.wait_for("event", "initialized")
        adapter.request("setBreakpoints", source={"path": str(self.folder / "score.py")},
                        breakpoints=[{"line": 2}])
        self.assertTrue(adapter.wait_for("response", "setBreakpoints")["success"])
        adapter.request("configurationDone")
        stopped = adapter.wait_for("event", "stopped")["body"]
        self.assertEqual(stopped["reason"], "breakpoint")
        adapter.request("continue", threadId=stopped["threadId"])
        adapter.wait_for("event", "terminated")
        adapter.close()  # The adapter, which holds the streams open, ends with its client.
        output, _ = process.communicate(timeout=60)
        self.assertEqual(output, f"{self.folder}/items/0.txt\n")


if __name__ == "__main__":
    main()
