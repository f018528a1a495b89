"""What teams bring along from Azure ML, and what scripts do with tables: see program.py."""

import csv
import os
import pstats
import random
import shutil
import subprocess
import unittest

from program import PROGRAM, SOURCES, ProgramTest, main

IRIS = SOURCES / "examples/python/iris"
HAS_DUCKDB = "PRS_DUCKDB" in os.environ or os.path.exists("/usr/local/lib/prs-gpu/libduckdb.so")


class Pipeline(ProgramTest):
    def test_a_v2_pipeline_over_an_mltable_with_the_iris_script(self):
        for name in ("iris_prediction.py", "means.json", "names.txt"):
            self.write(f"src/{name}", (IRIS / name).read_text())
        header, *rows = (IRIS / "iris.csv").read_text().splitlines()
        for part in range(2):
            self.write(f"data/part{part}.csv", "\n".join([header, *rows[part::2]]) + "\n")
        self.write("data/MLTable", """
$schema: https://azuremlschemas.azureedge.net/latest/MLTable.schema.json
type: mltable
paths:
  - pattern: ./*.csv
transformations:
  - read_delimited:
      delimiter: ','
      encoding: utf8
      header: all_files_same_headers
""")
        self.write("pipeline.yml", """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
display_name: iris-batch-prediction-using-parallel
jobs:
  batch_prediction:
    type: parallel
    compute: azureml:cpu-cluster
    inputs:
      input_data: {type: mltable, path: ./data, mode: direct}
      names: {type: uri_file, path: ./src/names.txt}
    outputs:
      job_output_file: {type: uri_file, path: ./out/scored.txt}
    input_data: ${{inputs.input_data}}
    mini_batch_size: "10kb"
    resources: {instance_count: 1}
    max_concurrency_per_instance: 2
    logging_level: "DEBUG"
    mini_batch_error_threshold: 5
    retry_settings: {max_retries: 2, timeout: 60}
    environment_variables: {SCORING: "iris"}
    task:
      type: run_function
      code: ./src
      entry_script: iris_prediction.py
      environment: azureml:AzureML-sklearn-0.24-ubuntu18.04-py37-cpu:1
      program_arguments: >-
        --model_name means.json --names ${{inputs.names}} --error_threshold 5
        --allowed_failed_percent 30 --task_overhead_timeout 1200 --progress_update_timeout 600
        --first_task_creation_timeout 600 --copy_logs_to_parent True
        --resource_monitor_interval 20
      append_row_to: ${{outputs.job_output_file}}
""")
        self.prs_gpu("run", "pipeline.yml", env={"PRS_MODEL_REGISTRY": str(self.folder / "src")})
        lines = self.text("out/scored.txt").splitlines()
        # One mini-batch a file, rows separated by blanks, without a header.
        self.assertEqual(sorted(line.rpartition(" ")[0].replace(" ", ",") for line in lines),
                         sorted(rows))
        varieties = [line.rpartition(" ")[2] for line in lines]
        self.assertEqual([varieties.count(name) for name in ("setosa", "versicolor", "virginica")],
                         [3, 4, 3])


class Scripts(ProgramTest):
    def run_script(self, script, *more):
        self.write("score.py", script)
        return self.prs_gpu("run", "--entry-script", "score.py", "--output", "out", "--workers",
                            "1", "--set", "error_threshold=0", *more)

    def test_both_profilers(self):
        for module in ("cProfile", "profile"):
            self.run_script("def inner(): return 1\ndef run(batch): return [inner() for _ in batch]",
                            "--input", self.items(3), "--set",
                            f"arguments=--profiling_module {module}", "--overwrite")
            profile = pstats.Stats(str(self.folder / "out/logs/sys/node/0/process000.profile"))
            calls = {name: count[0] for (_, _, name), count in profile.stats.items()}
            self.assertEqual(calls["inner"], 3, module)

    def test_a_source_folder_that_cannot_be_written_to(self):
        self.write("src/sibling.py", "ANSWER = 42\n")
        self.write("src/score.py", "import os, sibling\ndef run(batch):\n"
                   "    open('scratch', 'w').close()\n"
                   "    return [f'{sibling.ANSWER} {os.getcwd()}' for _ in batch]\n")
        self.items(1)
        (self.folder / "out").mkdir()
        options = {}
        if os.geteuid() == 0:  # Nothing is read-only to root.
            options = {"user": 65534, "group": 65534, "extra_groups": []}
            shutil.chown(self.folder / "out", 65534, 65534)
            shutil.chown(self.folder, 65534, 65534)
            if subprocess.run([PROGRAM, "--version"], capture_output=True, check=False,
                              **options).returncode != 0:
                self.skipTest("another user cannot run the program where it lies")
        (self.folder / "src").chmod(0o555)
        self.prs_gpu("run", "--entry-script", "src/score.py", "--input", "items", "--output", "out",
                     "--workers", "1", **options)
        self.assertEqual(self.text("out/parallel_run_step.txt"),
                         f"42 {self.folder}/out/.prs/work\n")
        self.assertEqual(sorted(os.listdir(self.folder / "src")), ["score.py", "sibling.py"])

    def test_texts_of_any_length_arrive_as_they_are(self):
        # Few letters: many texts are equal, or equal at both ends only.
        source = random.Random(3)
        rows = [["".join(source.choices("ab", k=source.randrange(24))) + "ü" * (i % 50 == 0) + "x"
                 for _ in range(3)] for i in range(4000)]
        with open(self.folder / "t.csv", "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["p", "q", "Path"], *rows])
        self.write("MLTable", "paths:\n  - file: t.csv\ntransformations:\n"
                   "  - read_delimited: {include_path_column: true}\n")
        self.run_script("def run(table):\n    assert list(table) == ['Path', 'p', 'q', 'Path']\n"
                        "    return table.iloc[:, 1:]\n", "--input", "MLTable")
        self.assertEqual([line.split(" ") for line in
                          self.text("out/parallel_run_step.txt").splitlines()], rows)


class Parquet(ProgramTest):
    SCRIPT = """
import pandas
def run(mini_batch):
    numbers = [int(open(path).read()) for path in mini_batch]
    return pandas.DataFrame({"n": numbers, "half": [n / 2 for n in numbers],
                             "name": [None if n == 3 else f"it's {n}" for n in numbers]})
"""

    def command(self, output):
        self.write("score.py", self.SCRIPT)
        return ("run", "--entry-script", "score.py", "--input", self.items(10), "--output", output,
                "--mini-batch-size", "3", "--workers", "2", "--output-format", "parquet", "--set",
                "append_row_file_name=rows.parquet")

    @unittest.skipUnless(HAS_DUCKDB, "DuckDB's library is not installed")
    def test_o2_rows_become_typed_columns(self):
        output = self.folder / "it's [out]"
        self.prs_gpu(*self.command(output), "--ordered")
        self.assertEqual(sorted(path.name for path in output.iterdir() if path.is_file()),
                         ["rows.parquet"])
        self.write("read.py", "def run(table):\n    assert list(table.dtypes.astype(str)) == "
                   "['int64', 'float64', 'object'], table.dtypes\n    return table\n")
        self.prs_gpu("run", "--entry-script", "read.py", "--input", output / "rows.parquet",
                     "--output", "again", "--output-format", "csv", "--workers", "1")
        self.assertEqual(self.text("again/parallel_run_step.txt").splitlines(), ["n,half,name"] + [
            f"{n},{n / 2}," + ("" if n == 3 else f"it's {n}") for n in range(10)])

    def test_without_the_library_nothing_starts(self):
        result = self.prs_gpu(*self.command("out"), code=2, env={"PRS_DUCKDB": "/nowhere.so"})
        self.assertIn("install-deps.sh --parquet", result.stderr)
        self.assertFalse((self.folder / "out").exists())


if __name__ == "__main__":
    main()
