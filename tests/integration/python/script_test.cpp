// Python entry scripts: what a script is given and what is made of what it returns (E1 to E12, O2).

#include "script_test.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <ostream>

namespace prs::test {

namespace fs = std::filesystem;

void expect_in(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "expected: " << part << "\nin: " << text;
}

std::vector<std::string> ScriptTest::script_command(std::vector<std::string> more) const {
  std::vector<std::string> all =
      prs_gpu_command({"run", "--entry-script", file("src/score.py"), "--output", file("out"),
                       "--mini-batch-size", "1", "--workers", "1", "--max-try", "1", "--ordered",
                       "--set", "allow_reuse=false", "--set", "resource_monitor_interval=0"});
  if (std::find(more.begin(), more.end(), "--input") == more.end()) {
    more.insert(more.begin(), {"--input", file("items")});
  }
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

namespace {

class Script : public ScriptTest {};

TEST_F(Script, E1_AScriptWithoutRunIsRefusedWithTheNamesItDefines) {
  items({"x"});
  script("import os\ndef init(): open('" + file("ran") + "', 'w')\ndef score(x): pass\n" +
         "limit: int = 3\nif limit:\n    a, b = 1, 2\n" + "open('" + file("ran") + "', 'w')\n");
  const ProcessResult result = run_script();
  EXPECT_NE(result.exit_code, 0);
  expect_in(result.err, "defines no function run(mini_batch); it defines os, init, score, limit");
  EXPECT_FALSE(fs::exists(file("ran")));
  EXPECT_FALSE(fs::exists(file("out")));
}

TEST_F(Script, E1_ASyntaxErrorIsToldBeforeAnythingStarts) {
  items({"x"});
  script("def run(mini_batch):\n    return [\n");
  const ProcessResult result = run_script();
  EXPECT_NE(result.exit_code, 0);
  expect_in(result.err, "score.py: line 2: SyntaxError: '[' was never closed");
  EXPECT_FALSE(fs::exists(file("out")));
}

TEST_F(Script, E2_E4_LifeOfAWorker) {
  items({"a", "b", "c"});
  script(R"(
import sys
print("module", sys.argv[0] == __file__)
def init(): print("init")
def run(mini_batch):
    print("run", isinstance(mini_batch, list), type(mini_batch) is not list, mini_batch.task_id)
    return [len(mini_batch)]
def shutdown(): print("shutdown")
)");
  const ProcessResult result = run_script({"--mini-batch-size", "2"});
  EXPECT_EQ(result.exit_code, 3) << result.err;  // Two items, one row.
  EXPECT_EQ(output(), "2\n1\n");
  EXPECT_EQ(stdout_log(), "module True\ninit\nrun True True 0\nrun True True 1\nshutdown\n");
  expect_no_process_left();
}

TEST_F(Script, E3_ContextBySignature) {
  items({"a"});
  for (const auto& [parameters, expected] : std::vector<std::pair<std::string, std::string>>{
           {"mini_batch, context", "0 {} 1"},
           {"mini_batch, mini_batch_context=None", "0 {} 1"},
           {"mini_batch, threshold=0.5", "0.5"},
           {"mini_batch, *, context=7", "7"}}) {
    const std::string name = parameters.substr(parameters.rfind(' ') + 1);
    const std::string variable = name.substr(0, name.find('='));
    script("def run(" + parameters + "):\n    c = " + variable +
           "\n    return [f'{c.minibatch_index} {c.partition_key_value} {len(c.dataset)}'"
           " if hasattr(c, 'dataset') else c]\n");
    EXPECT_EQ(run_script({"--overwrite"}).exit_code, 0) << parameters;
    EXPECT_EQ(output(), expected + "\n") << parameters;
  }
}

/// What run() returns for one item, and what stands in the output.
struct Returned {
  const char* name;
  const char* expression;
  std::vector<std::string> options;
  const char* rows;
};

void PrintTo(const Returned& returned, std::ostream* out) { *out << returned.name; }

class ScriptReturns : public ScriptTest, public ::testing::WithParamInterface<Returned> {};

TEST_P(ScriptReturns, IsWrittenAsItsFormatHasIt) {
  items({"x"});
  const std::string expression = GetParam().expression;
  const bool pandas = expression.find("pd.") != std::string::npos;  // Takes a second to import.
  script(std::string(pandas ? "import pandas as pd\n" : "import numpy as np\n") +
         "def run(mini_batch):\n    return " + expression + "\n");
  const ProcessResult result = run_script(GetParam().options);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), GetParam().rows);
}

const std::string kCsv = "--output-format=csv";
const std::string kJson = "--output-format=jsonl";
const std::string kHeader = "append_row_dataframe_header=true";
const std::string kSafe = "append_row_safe_output=true";

INSTANTIATE_TEST_SUITE_P(
    , ScriptReturns,
    ::testing::Values(
        Returned{"List", "['a b', 1, 2.5, None]", {}, "a b\n1\n2.5\nNone\n"},
        Returned{"Tuple", "('x',)", {}, "x\n"}, Returned{"Dict", "[{'a': 1}]", {}, "{'a': 1}\n"},
        Returned{"Array", "np.array([0.5, 2], np.float32)", {}, "0.5\n2.0\n"},
        Returned{"Matrix", "np.arange(4).reshape(2, 2)", {}, "[0 1]\n[2 3]\n"},
        Returned{"Series", "pd.Series([1, 2], index=['p', 'q'])", {}, "1\n2\n"},
        Returned{"FrameWithIndex",
                 "pd.DataFrame({'n': ['a b', 'c'], 'v': [1.5, None]}, index=[7, 8])",
                 {},
                 "\"a b\" 1.5\nc \n"},
        Returned{"FrameWithHeader",
                 "pd.DataFrame({'n': [1], 'v': [2]})",
                 {"--set", kHeader},
                 "n v\n1 2\n"},
        Returned{
            "FrameAsCsv", "pd.DataFrame({'n': ['a,b'], 'v': [2]})", {kCsv}, "n,v\n\"a,b\",2\n"},
        Returned{"FrameAsJson",
                 "pd.DataFrame({'n': ['ä'], 'v': [2]})",
                 {kJson},
                 "{\"n\":\"ä\",\"v\":2}\n"},
        Returned{"DictsAsCsv",
                 "[{'a': 1, 'b': 'x,y'}, {'b': 2, 'a': 3}]",
                 {kCsv},
                 "a,b\n1,\"x,y\"\n3,2\n"},
        Returned{
            "ListsAsCsv", "[[1, 'x'], ('a\"b', 2), 'alone']", {kCsv}, "1,x\n\"a\"\"b\",2\nalone\n"},
        Returned{"DictsAsJson",
                 "[{'a': np.float32(0.5), 'b': np.array([1, 2])}, 'text', None]",
                 {kJson},
                 "{\"a\": 0.5, \"b\": [1, 2]}\n\"text\"\nnull\n"},
        Returned{"LineBreaksInside", "['a\\nb']", {}, "a\nb\n"},
        Returned{"LineBreaksEscaped", "['a\\nb\\\\']", {"--set", kSafe}, "a\\nb\\\\\n"},
        Returned{"FrameLineBreaksEscaped",
                 "pd.DataFrame({'n': ['a\\nb']})",
                 {"--set", kSafe},
                 "a\\nb\n"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(Script, E5_OtherTypesFailTheTryWithTheirName) {
  items({"None", "'text'", "{'a': 1}", "7", "(x for x in 'ab')", "np.array(3)"});
  script("import numpy as np\ndef run(mini_batch):\n    return eval(open(mini_batch[0]).read())\n");
  const ProcessResult result = run_script({"--max-try", "2", "--output-action", "summary_only"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(statuses()["RUN_EXCEPTION"], 12);
  const std::string errors = log("user/error.txt");
  for (const char* type : {"None", "str", "dict", "int", "generator", "without dimensions"}) {
    expect_in(errors, type);
  }
  expect_in(errors, "(score.py:2 in run)");
}

TEST_F(Script, E6_RowsAreCountedByLength) {
  items({"0", "1", "3"});
  script("def run(mini_batch):\n    return ['r'] * int(open(mini_batch[0]).read())\n");
  const ProcessResult result = run_script();
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(output(), "r\nr\nr\nr\n");
  expect_in(log("job_result.txt"), "3: 2 succeeded, 1 failed");
}

TEST_F(Script, O2_ColumnsThatDifferFailTheTry) {
  items({"a", "b"});
  script("def run(mini_batch):\n    return [{open(mini_batch[0]).read().strip(): 1}]\n");
  const ProcessResult result = run_script({kCsv});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(output(), "a\n1\n");
  expect_in(log("user/error.txt"), "row 0 has the columns ['b'], earlier rows have ['a']");
}

TEST_F(Script, O2_ColumnsThatDifferBetweenWorkersFailTheTryToo) {
  items({"a", "b"});
  // Each worker sees one mini-batch: it ends after it.
  script(
      "import os, sys\ndef run(mini_batch):\n"
      "    name = open(mini_batch[0]).read().strip()\n"
      "    if name == 'b' and not os.path.exists('" +
      file("died") +
      "'):\n"
      "        open('" +
      file("died") +
      "', 'w')\n        os._exit(0)\n"
      "    return [{name: 1}]\n");
  const ProcessResult result = run_script({kCsv, "--max-try", "2"});
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_EQ(output(), "a\n1\n");
  expect_in(result.err + log("user/error.txt"), "\"b\" instead of \"a\"");
}

TEST_F(Script, E9_ArgumentsOfSystemAndUser) {
  items({"x"});
  write_text(file("labels/names.txt"), "one");
  script(R"(
import argparse, sys
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--labels")
parser.add_argument("--mini_batch_size")
parser.add_argument("--run_max_try")
parser.add_argument("--process_count_per_node")
arguments, rest = parser.parse_known_args()
def run(mini_batch):
    print(sorted(word for word in rest if word.startswith("--")))
    return [" ".join(str(value) for value in vars(arguments).values())]
)");
  const ProcessResult result = run_script({"--set", "side_inputs.labels=" + file("labels"), "--set",
                                           "arguments=--labels ${{side_inputs.labels}} --other 1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), file("labels") + " 1 1 1\n");
  expect_in(stdout_log(),
            "['--append_row_file_name', '--error_threshold', '--logging_level', '--other', "
            "'--output', '--output_action', '--run_invocation_timeout']");
}

TEST_F(Script, E10_Environment) {
  items({"x"});
  write_text(file("model/weights.bin"), "w");
  script(R"(
import os
from azureml.core.model import Model
NAMES = ["AZUREML_BI_OUTPUT_PATH", "AZUREML_MODEL_DIR", "AZ_BATCHAI_GPU_COUNT_FOUND",
         "CUDA_VISIBLE_DEVICES", "MINE"]
values = [os.environ.get(name) for name in NAMES]
def run(mini_batch):
    open("left-by-the-script", "w").close()
    assert os.environ["AZUREML_RUN_ID"]
    return values + [Model.get_model_path("weights")]
)");
  const ProcessResult result =
      run_script({"--model", file("model"), "--set", "environment_variables.MINE=yes"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), fmt::format("{}\n{}\n0\n\nyes\n{}\n", file("out"), file("model"),
                                  file("model/weights.bin")));
  EXPECT_TRUE(fs::exists(file("src/left-by-the-script")));
}

TEST_F(Script, E10_NestedScriptsImportTheirSiblings) {
  items({"x"});
  script("WHERE = 'top'\n", "top.py");
  script("WHERE = 'beside'\n", "a/b/beside.py");
  script(
      "import beside, top\ndef run(mini_batch):\n"
      "    return [f'{beside.WHERE} {top.WHERE} {__name__}']\n",
      "a/b/score.py");
  const ProcessResult result =
      run_script({"--source-directory", file("src"), "--entry-script", "a/b/score.py"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), "beside top a.b.score\n");
}

TEST_F(Script, E10_AScriptMayBearTheNameOfAStandardModule) {
  items({"x"});
  script("def run(mini_batch): return ['ok']\n", "logging.py");
  const ProcessResult result = run_script({"--entry-script", file("src/logging.py")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), "ok\n");
}

TEST_F(Script, E11_EntryScript) {
  items({"x"});
  script(R"(
import os
from azureml_user.parallel_run import EntryScript
entry = EntryScript()
def run(mini_batch):
    for level in ("debug", "info", "warning"):
        getattr(entry.logger, level)("to " + level)
    assert entry is EntryScript()
    return [entry.agent_name, entry.output_dir, entry.working_dir, os.path.basename(entry.log_dir)]
)");
  const ProcessResult result = run_script({"--set", "logging_level=WARNING"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), fmt::format("process000\n{}\n{}\n0\n", file("out"), file("src")));
  const std::string text = log("user/entry_script_log/0/process000.log.txt");
  expect_in(text, "to warning");
  EXPECT_EQ(text.find("to info"), std::string::npos) << text;
}

TEST_F(Script, L_LoggingLevelsOfTheRootLogger) {
  items({"x"});
  script(
      "import logging\ndef run(mini_batch):\n"
      "    for name in ('debug', 'info', 'warning'): getattr(logging, name)('to ' + name)\n"
      "    return ['ok']\n");
  const std::vector<std::pair<std::string, int>> lines = {
      {"WARNING", 1}, {"INFO", 2}, {"DEBUG", 3}};
  for (const auto& [level, count] : lines) {
    EXPECT_EQ(run_script({"--overwrite", "--set", "logging_level=" + level}).exit_code, 0);
    EXPECT_EQ(std::ssize(lines_of(stdout_log())), count) << stdout_log();
  }
}

TEST_F(Script, L_EachStreamHasItsFile) {
  items({"x"});
  script(
      "import os, sys\ndef run(mini_batch):\n    print('printed')\n"
      "    print('complained', file=sys.stderr)\n    os.system('echo by child; echo bad >&2')\n"
      "    return ['ok']\n");
  EXPECT_EQ(run_script().exit_code, 0);
  EXPECT_EQ(stdout_log(), "printed\n");
  EXPECT_EQ(log("user/stderr/0/process000.stderr.txt"), "complained\n");
  EXPECT_EQ(log("sys/node/0/process000.stdout.txt"), "by child\n");
  EXPECT_EQ(log("sys/node/0/process000.stderr.txt"), "bad\n");
}

TEST_F(Script, NamesOfFilesThatAreNoUtf8Survive) {
  fs::create_directories(dir() / "items");
  const std::string name = "caf\xe9 \xc3\xa4.bin";
  std::ofstream(file("items/" + name)) << "x";
  script(
      "import os\ndef run(mini_batch):\n    print(mini_batch[0])\n"
      "    return [os.path.basename(p) for p in mini_batch if open(p).read() == 'x']\n");
  const ProcessResult result = run_script();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), name + "\n");
}

TEST_F(Script, E4_RowsOfATableArriveAsAFreshDataFrame) {
  write_text(file("t.csv"),
             "id,score,name,ok,id\n1,0.5,a b,True,7\n2,,,False,8\n3,1.5,\xc3\xa4,True,9\n");
  script(R"(
import os
def run(table, context):
    types = " ".join(str(t) for t in table.dtypes)
    first = not os.path.exists("tried")
    table["score"] *= 2  # In place: the next try must not see it.
    if first:
        open("tried", "w").close()
        raise ValueError("once")
    print(type(table).__module__, types, table.iloc[1, 2], context.partition_key_value)
    return table
)");
  const ProcessResult result = run_script(
      {"--input", file("t.csv"), "--mini-batch-size", "rows:10", "--max-try", "2", kCsv});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(stdout_log(), "pandas.core.frame int64 float64 object bool int64 nan {}\n");
  EXPECT_EQ(output(),
            "id,score,name,ok,id.1\n1,1.0,a b,True,7\n2,,,False,8\n3,3.0,\xc3\xa4,True,9\n");
}

TEST_F(Script, D8_PartitionKeysComeWithTheContext) {
  write_text(file("t.csv"), "user,v\nu,1\nw,2\nu,3\n");
  script(
      "def run(table, context):\n"
      "    return [f\"{context.partition_key_value['user']} {sum(table['v'])}\"] * len(table)\n");
  // Without mini_batch_size, which excludes partition_keys.
  const ProcessResult result =
      prs_gpu({"run", "--entry-script", file("src/score.py"), "--input", file("t.csv"), "--output",
               file("out"), "--workers", "1", "--set", "partition_keys=user"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::vector<std::string> lines = lines_of(output());
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, (std::vector<std::string>{"u 4", "u 4", "w 2"}));
}

TEST_F(Script, D9_RanksGetAnEmptyListAndTheirNumber) {
  script(R"(
def run(mini_batch, context):
    assert mini_batch == [] and mini_batch.task_id == context.minibatch_index
    return [f"rank {context.minibatch_index}"] * 2
)");
  const ProcessResult result = run_script({"--input", file("nowhere"), "--strict-return-length",
                                           "--set", "arguments=--rank_mini_batch_count 3"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), "rank 0\nrank 0\nrank 1\nrank 1\nrank 2\nrank 2\n");
  EXPECT_EQ(result.err.find("more rows"), std::string::npos) << result.err;
}

TEST_F(Script, X1_RowsOfAResumedJobHaveTheColumnsOfThoseBefore) {
  items({"first", "second"});
  script(R"(
import os
def run(mini_batch):
    if mini_batch[0].endswith("000.txt"):
        return [{"a": 1}]
    with open(os.path.join(os.environ["AZUREML_BI_OUTPUT_PATH"], "columns")) as columns:
        return [{columns.read(): 2}]
)");
  ASSERT_EQ(
      run_script({"--output-format", "csv", "--allowed-failed-count", "0", "--timeout", "900"})
          .exit_code,
      4);
  write_text(out("columns"), "b");
  const ProcessResult other = resume({"--set", "run_invocation_timeout=1000"});
  EXPECT_EQ(other.exit_code, 4);
  expect_in(read_text(out("logs/user/error.txt")), "the columns of its rows are not those");
  // Computed from what is kept and what is new: one try of 1000 s, 30 s of overhead, 60 s.
  expect_in(other.err, "progress_update_timeout      1090");
  write_text(out("columns"), "a");
  const ProcessResult same = resume();
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_EQ(output(), "a\n1\n2\n");
}

TEST_F(Script, D1_ArraysAreFilesToAScript) {
  write_idx_images(file("digits.idx"), 3);
  script("def run(mini_batch): return [open(p, 'rb').read(4)[2] for p in mini_batch]\n");
  const ProcessResult result = run_script({"--input", file("digits.idx")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), "8\n");
}

TEST_F(Script, E12_MetricsOfAllWorkersAreShown) {
  items({"a", "b", "c", "d"});
  script(R"(
from azureml.core import Run, Dataset
run_ = Run.get_context()
def run(mini_batch):
    run_.log("files", len(mini_batch))
    run_.parent.log_row("row", a=1)
    run_.upload_file("uploaded.txt", mini_batch[0])
    return [f"{run_.id == run_.parent.id} {run_.experiment.workspace.name != ''}"]
)");
  EXPECT_EQ(run_script({"--workers", "2"}).exit_code, 0);
  EXPECT_EQ(lines_of(output())[0], "True True");
  EXPECT_TRUE(fs::exists(out("uploaded.txt")));
  const auto metrics = [this](const std::string& format) {
    return prs_gpu({"metrics", file("out"), "--format", format}).out;
  };
  const nlohmann::json list = nlohmann::json::parse(metrics("json"));
  EXPECT_EQ(list.size(), 8U);
  EXPECT_EQ(lines_of(metrics("csv")).size(), 9U);
  expect_in(metrics("csv"), ",row,row,\"{\"\"a\"\":1}\"");
  expect_in(metrics("prometheus"), ",name=\"files\"} 4\n");
  expect_in(metrics("text"), "files");
}

TEST_F(Script, ProfilesAreWrittenWherePrsHasThem) {
  items({"x"});
  script("def run(mini_batch): return ['ok']\n");
  EXPECT_EQ(run_script({"--set", "arguments=--profiling_module cProfile"}).exit_code, 0);
  EXPECT_TRUE(fs::file_size(out("logs/sys/node/0/process000.profile")) > 0);
}

TEST_F(Script, PackagesOfAVirtualEnvironment) {
  items({"x"});
  const std::string venv = file("venv");
  ASSERT_EQ(run_process({PRS_PYTHON, "-m", "venv", "--without-pip", venv}).exit_code, 0);
  write_text(venv + "/lib/python" PRS_PYTHON_VERSION "/site-packages/only_there.py", "X = 7\n");
  script("import only_there, sys\ndef run(mini_batch): return [only_there.X, sys.prefix]\n");
  const ProcessResult result = run_script({"--python", venv + "/bin/python"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), "7\n" + venv + "\n");
  expect_in(log("sys/master_role.txt"), "packages of " + venv);
}

TEST_F(Script, AnInterpreterOfAnotherVersionIsRefused) {
  items({"x"});
  script("def run(mini_batch): return ['ok']\n");
  const std::string fake = file("python3.9");
  write_text(fake, "#!/bin/sh\necho '{\"version\": [3, 9], \"executable\": \"" + fake +
                       "\", \"names\": [\"run\"], \"stars\": [], \"error\": \"\"}'\n");
  fs::permissions(fake, fs::perms::owner_all);
  const ProcessResult result = run_script({"--python", fake});
  EXPECT_NE(result.exit_code, 0);
  expect_in(result.err, "is Python 3.9, this prs-gpu runs Python " PRS_PYTHON_VERSION);
}

TEST_F(Script, R1_AChangedSiblingRunsTheStepAgain) {
  items({"x"});
  script("X = 1\n", "sibling.py");
  script("import sibling\ndef run(mini_batch): return [sibling.X]\n");
  const std::vector<std::string> again = {"--set", "allow_reuse=true", "--output"};
  const auto run_to = [&](const std::string& folder) {
    std::vector<std::string> more = again;
    more.push_back(file(folder));
    return run_script(more).err;
  };
  run_to("first");
  expect_in(run_to("second"), "nothing is run");
  script("X = 22\n", "sibling.py");
  EXPECT_EQ(run_to("third").find("nothing is run"), std::string::npos);
  EXPECT_EQ(read_text(file("third/parallel_run_step.txt")), "22\n");
}

}  // namespace
}  // namespace prs::test
