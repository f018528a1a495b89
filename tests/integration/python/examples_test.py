"""The Python examples and what steps refer to, through the real program: see program.py."""

import json

import numpy as np
from PIL import Image
from program import SOURCES, ProgramTest, main

EXAMPLES = SOURCES / "examples/python"


class Examples(ProgramTest):
    def test_iris_predicts_every_row(self):
        self.prs_gpu("run", EXAMPLES / "iris/iris.yml", "--output", "out")
        rows = [line.split(",") for line in self.text("out/parallel_run_step.txt").splitlines()]
        inputs = (EXAMPLES / "iris/iris.csv").read_text().splitlines()
        self.assertEqual([",".join(row[:4]) for row in rows], inputs)
        self.assertEqual([row[4] for row in rows],
                         ["variety"] + ["setosa"] * 3 + ["versicolor"] * 4 + ["virginica"] * 3)

    def test_digits_with_numpy_and_pillow(self):
        images, models = self.folder / "images", self.folder / "models"
        for folder in (images, models):
            folder.mkdir()
        weights = np.random.default_rng(1).normal(size=(784, 10))
        np.savez(models / "digits.npz", weights=weights, bias=np.zeros(10))
        expected = []
        for i in range(4):
            pixels = np.random.default_rng(i).integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(pixels).save(images / f"{i}.png")
            values = pixels.reshape(784).astype(np.float32) / 255
            expected.append(f"{i}.png: {int(np.argmax(values @ weights))}")
        self.prs_gpu("run", EXAMPLES / "step.yml", "--input", images, "--output", "out",
                     "--entry-script", EXAMPLES / "digit_identification.py", "--model", models,
                     "--ordered")
        self.assertEqual(self.text("out/parallel_run_step.txt").splitlines(), expected)

    def test_the_engine_in_a_script_agrees_with_the_built_in_entry(self):
        images = self.folder / "images"
        images.mkdir()
        for i in range(12):
            pixels = np.random.default_rng(i).integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(pixels).save(images / f"{i:02}.png")
        (images / "05.png").write_bytes(b"no image")
        common = ("--input", images, "--ordered", "--error-threshold", "1")
        self.prs_gpu("run", EXAMPLES / "engine.yml", "--output", "script", *common, code=3)
        self.prs_gpu("run", "--model", SOURCES / "models/lenet.onnx", "--output", "model",
                     "--mini-batch-size", "10", *common, code=3)
        rows = self.text("script/parallel_run_step.txt")
        self.assertEqual(len(rows.splitlines()), 11)
        names = [line.rpartition("/")[2] for line in
                 self.text("model/parallel_run_step.txt").splitlines()]
        self.assertEqual(rows.splitlines(), names)


SCRIPT = """
import os, sys
def run(mini_batch):
    return [" ".join(sys.argv[sys.argv.index("--labels"):]), os.environ["MODE"]]
"""


class References(ProgramTest):
    def setUp(self):
        super().setUp()
        self.items(1)
        self.write("src/score.py", SCRIPT)
        self.write("labels/names.txt", "one")

    def rows(self, name):
        return self.text(name).splitlines()

    def test_side_inputs_of_v1(self):
        self.write("step.yml", """
entry_script: score.py
source_directory: src
inputs: [items]
side_inputs: {labels: labels}
arguments: ["--labels", "${side_inputs.labels}", "--shell", "${HOME}"]
environment_variables: {MODE: night}
output: out
error_threshold: 0
""")
        self.prs_gpu("run", "step.yml")
        self.assertEqual(self.rows("out/parallel_run_step.txt"),
                         [f"--labels {self.folder}/labels --shell ${{HOME}}", "night"])

    def test_inputs_and_outputs_of_v2(self):
        self.write("job.yml", """
$schema: https://azuremlschemas.azureedge.net/latest/parallelJob.schema.json
type: parallel
inputs:
  images: {type: uri_folder, path: ./items}
  labels: {type: uri_folder, path: ./labels}
  limit: 0.5
outputs:
  rows: {type: uri_file, path: ./out/rows.txt}
  extra: {type: uri_folder, path: ./more}
input_data: ${{inputs.images}}
mini_batch_size: "1"
environment_variables: {MODE: day}
task:
  type: run_function
  code: ./src
  entry_script: score.py
  program_arguments: >-
    --labels ${{inputs.labels}} --limit ${{inputs.limit}} --extra ${{outputs.extra}}
  append_row_to: ${{outputs.rows}}
""")
        self.prs_gpu("run", "job.yml")
        self.assertEqual(
            self.rows("out/rows.txt"),
            [f"--labels {self.folder}/labels --limit 0.5 --extra {self.folder}/more", "day"])

    def test_a_side_input_that_is_missing_is_named_before_init(self):
        script = "def init(): open('ran', 'w')\n" + SCRIPT
        self.write("src/score.py", script)
        step = ("run", "--entry-script", "src/score.py", "--input", "items", "--output", "out",
                "--set", "arguments=--labels ${{side_inputs.labels}}")
        result = self.prs_gpu(*step, "--set", "side_inputs.labels=nowhere", code=2)
        self.assertIn(f"side_inputs.labels: '{self.folder}/nowhere' does not exist", result.stderr)
        self.assertFalse((self.folder / "out").exists())
        # One that vanishes after the job began: nothing of the script runs in the replacement.
        self.write("src/score.py", "import shutil\n" + script.replace(
            "def run(mini_batch):", "def run(mini_batch):\n"
            "    shutil.rmtree(sys.argv[sys.argv.index('--labels') + 1])\n    os._exit(3)\n"))
        self.write("src/ran").unlink()
        result = self.prs_gpu(
            *step, "--set", "side_inputs.labels=labels", "--workers", "1", "--max-try", "2",
            "--set", "first_task_creation_timeout=60", "--mini-batch-size", "1", code=5)
        self.assertIn(f"side_inputs.labels: {self.folder}/labels does not exist on this node",
                      self.text("out/logs/user/error.txt"))


class Parameters(ProgramTest):
    def setUp(self):
        super().setUp()
        self.items(4)
        self.write("score.py", "def run(mini_batch): return mini_batch\n")
        self.write("step.yml", "entry_script: score.py\ninputs: [items]\noutput: out\n"
                   "error_threshold: 0\nmini_batch_size: 1\nrun_max_try: 2\n")

    def settings(self, *more, **options):
        plan = self.prs_gpu("run", "step.yml", "--dry-run", "--format", "json", *more, **options)
        return {name: (setting["value"], setting["origin"])
                for name, setting in json.loads(plan.stdout)["settings"].items()}

    def test_what_is_given_later_wins_and_tells_where_it_came_from(self):
        self.write("night.yml", "mini_batch_size: 3\nretry_settings:\n  timeout: 30\n"
                   "logging_level: DEBUG\n")
        environment = {"PRS_PARAM_MINI_BATCH_SIZE": "2", "PRS_PARAM_RUN_MAX_TRY": "5",
                       "PRS_PARAM_PROCESS_COUNT_PER_NODE": "3", "PRS_PARAM_NODE_COUNT": "1"}
        settings = self.settings("--parameters", "night.yml", "--set", "logging_level=WARNING",
                                 env=environment)
        self.assertEqual(settings["run_max_try"], ("5", "PRS_PARAM_RUN_MAX_TRY"))
        self.assertEqual(settings["node_count"], ("1", "PRS_PARAM_NODE_COUNT"))
        self.assertEqual(settings["process_count_per_node"],
                         ("3", "PRS_PARAM_PROCESS_COUNT_PER_NODE"))
        self.assertEqual(settings["mini_batch_size"], ("3", "night.yml:1"))
        self.assertEqual(settings["run_invocation_timeout"], ("30", "night.yml:3"))
        self.assertEqual(settings["logging_level"], ("WARNING", "--set"))

    def test_are_recorded_in_the_run(self):
        self.write("night.json", '{"mini_batch_size": 4, "run_max_try": 1}')
        result = self.prs_gpu("run", "step.yml", "--parameters", "night.json")
        self.assertRegex(result.stderr, r"mini_batch_size +4 +items +night.json:1")
        self.assertIn("Mini-batches: 1,", result.stderr)
        self.assertRegex(self.text("out/logs/sys/master_role.txt"),
                         r"run_max_try +1 +tries +night.json:1")

    def test_inputs_of_the_command_line_replace_those_of_the_file(self):
        self.write("night.yml", "inputs: items/1.txt\n")
        self.prs_gpu("run", "step.yml", "--parameters", "night.yml", "--input", "items/2.txt")
        self.assertEqual(self.text("out/parallel_run_step.txt"), f"{self.folder}/items/2.txt\n")

    def test_mistakes_name_their_place(self):
        for text, message in (
                ("run_max_try: 0\n", "night.yml:1: run_max_try: '0'"),
                ("\nrun_max_tries: 1\n", "night.yml:2: unknown key 'run_max_tries'"),
                ("run_max_try: [1]\n", "night.yml:1: run_max_try: expected a single value"),
                ("run_max_try: 2\nretry_settings: {max_retries: 1}\n",
                 "night.yml:2: retry_settings.max_retries sets what run_max_try (night.yml:1)"),
                ("- 1\n", "night.yml: expected a mapping")):
            self.write("night.yml", text)
            result = self.prs_gpu("run", "step.yml", "--parameters", "night.yml", code=2)
            self.assertIn(message, result.stderr)
        result = self.prs_gpu("run", "step.yml", code=2, env={"PRS_PARAM_MAX_TRY": "2"})
        self.assertIn("PRS_PARAM_MAX_TRY: no pipeline parameter; known: PRS_PARAM_MINI_BATCH_SIZE",
                      result.stderr)
        result = self.prs_gpu("run", "step.yml", code=2, env={"PRS_PARAM_RUN_MAX_TRY": "x"})
        self.assertIn("PRS_PARAM_RUN_MAX_TRY: run_max_try: 'x'", result.stderr)


if __name__ == "__main__":
    main()
