// Python entry scripts that raise, hang, die and leak: what becomes of their tries (W3, W4, J2).

#include <fmt/format.h>

#include <csignal>

#include "script_test.hpp"

namespace prs::test {
namespace {

class Misbehaving : public ScriptTest {
 protected:
  /// Two items, "bad" and "ok": run() does `body` with the first one.
  void bad_item(const std::string& body, const std::string& head = "") const {
    write_text(file("items/0.txt"), "bad");
    write_text(file("items/1.txt"), "ok");
    script(head + "\nimport ctypes, os, signal, sys, threading\ndef run(mini_batch):\n" +
           "    if open(mini_batch[0]).read() == 'bad':\n        " + body +
           "\n    return ['ok']\n");
  }
  /// Expects that the bad item failed so and the other one's row is there.
  void expect_failed(const ProcessResult& result, const std::string& status) const {
    EXPECT_EQ(result.exit_code, 3) << result.err;
    EXPECT_EQ(output(), "ok\n");
    EXPECT_EQ(statuses()[status], 1) << result.err;
    expect_no_process_left();
  }
};

TEST_F(Misbehaving, J2_ARaisedExceptionIsShownWithItsPlace) {
  bad_item("raise KeyError('seven')");
  const ProcessResult result = run_script();
  expect_failed(result, "RUN_EXCEPTION");
  expect_in(result.err, "KeyError: 'seven' (score.py:5 in run)");
  expect_in(log("user/error.txt"), "KeyError: 'seven' (score.py:5 in run)");
  expect_in(error_log(), "Traceback (most recent call last):\n  File \"" + file("src/score.py") +
                             "\", line 5, in run\n    raise KeyError('seven')\n");
}

TEST_F(Misbehaving, AnExceptionOfInitIsToldWithItsTrace) {
  items({"x"});
  script("def init(): 1 / 0\ndef run(mini_batch): return ['ok']\n");
  const ProcessResult result = run_script();
  EXPECT_EQ(result.exit_code, 5) << result.err;
  expect_in(result.err, "ZeroDivisionError: division by zero (score.py:1 in init)");
  expect_in(error_log(), "Traceback");
}

TEST_F(Misbehaving, AnExceptionOfTheModuleIsToldAsOneOfLoading) {
  items({"x"});
  script("import no_such_module\ndef run(mini_batch): return ['ok']\n");
  const ProcessResult result = run_script();
  EXPECT_EQ(result.exit_code, 5) << result.err;
  expect_in(result.err, "loading failed");
  expect_in(result.err, "No module named 'no_such_module' (score.py:1 in <module>)");
}

TEST_F(Misbehaving, SysExitFailsTheTryAlone) {
  bad_item("sys.exit(3)");
  const ProcessResult result = run_script();
  expect_failed(result, "RUN_EXCEPTION");
  expect_in(result.err, "SystemExit: 3");
}

TEST_F(Misbehaving, KeyboardInterruptFailsTheTryAlone) {
  bad_item("raise KeyboardInterrupt");
  expect_failed(run_script(), "RUN_EXCEPTION");
}

TEST_F(Misbehaving, W3_OsExitAndSegmentationFaultsReplaceTheWorker) {
  bad_item("print('last words'); os._exit(7)");
  expect_failed(run_script(), "RUN_CRASHED");
  EXPECT_EQ(stdout_log(), "last words\n");
  bad_item("ctypes.string_at(0)");
  expect_failed(run_script({"--overwrite"}), "RUN_CRASHED");
  // faulthandler tells where.
  expect_in(log("sys/node/0/process000.stderr.txt"), "line 5 in run");
}

TEST_F(Misbehaving, W4_AHungScriptIsEndedAndItsStackIsKept) {
  bad_item("threading.Event().wait()");
  expect_failed(run_script({"--timeout", "2"}), "RUN_TIMEOUT");
  const std::string stacks = log("sys/node/0/process000.stderr.txt");
  expect_in(stacks, "score.py\", line 5 in run");
}

TEST_F(Misbehaving, W4_HangingInNativeCodeWithTheInterpretersLockHeld) {
  // PyDLL keeps the lock during the call; a mutex that is locked twice is never had.
  bad_item("lock = ctypes.PyDLL(None).pthread_mutex_lock; lock(mutex); lock(mutex)",
           "import ctypes; mutex = ctypes.create_string_buffer(64)");
  expect_failed(run_script({"--timeout", "2"}), "RUN_TIMEOUT");
  expect_in(log("sys/node/0/process000.stderr.txt"), "score.py\", line 5 in run");
}

TEST_F(Misbehaving, W4_AScriptThatIgnoresSigtermIsKilled) {
  bad_item(
      "signal.signal(signal.SIGTERM, signal.SIG_IGN); import subprocess; "
      "subprocess.run(['sleep', '1000'])");
  expect_failed(run_script({"--timeout", "1"}), "RUN_TIMEOUT");
}

TEST_F(Misbehaving, AForkedChildThatComesBackEndsAsAProgram) {
  // Both ways out of run(): neither speaks in the worker's name.
  bad_item(
      "\n        for way in (1, 2):\n            child = os.fork()\n"
      "            if child == 0 and way == 1: sys.exit(9)\n"
      "            if child == 0: return ['from the child']\n"
      "            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))");
  const ProcessResult result = run_script();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), "ok\nok\n");
  EXPECT_EQ(stdout_log(), "9\n0\n");
}

TEST_F(Misbehaving, ProcessesAndThreadsOfAScriptWork) {
  write_text(file("items/0.txt"), "x");
  script(R"(
import concurrent.futures, multiprocessing, threading
def square(x): return x * x
ticks = threading.Event()
def init(): threading.Thread(target=ticks.set, daemon=True).start()
def run(mini_batch):
    rows = [ticks.wait(60)]
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            rows += pool.map(square, [3])
    return rows
)");
  const ProcessResult result = run_script();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(output(), "True\n9\n9\n");
  expect_no_process_left();
}

TEST_F(Misbehaving, W3_MemoryBeyondTheLimitEndsAsRunOom) {
  bad_item("hoard = [bytearray(1 << 26) for _ in range(1000)]");
  expect_failed(run_script({"--set", "worker_memory_limit=1GB"}), "RUN_OOM");
  const std::string tries = read_text(out("logs/sys/job_report/processed_mini-batches.csv"));
  EXPECT_NE(tries.find("): MemoryError (score.py:5 in "), std::string::npos) << tries;
}

TEST_F(Misbehaving, MegabytesPrintedAreAllThere) {
  bad_item("sys.stdout.write('x' * (8 << 20) + '\\n'); sys.stdout.write('end without newline')");
  const ProcessResult result = run_script();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::string text = stdout_log();
  EXPECT_EQ(text.size(), (8U << 20) + 1 + 19);
  EXPECT_TRUE(text.ends_with("end without newline"));
}

TEST_F(Misbehaving, CtrlCEndsTheJobWithoutATraceOfKeyboardInterrupt) {
  const std::string fifo = file("calls");
  CallReader calls(fifo);
  bad_item("open('" + fifo +
           "', 'w').write(f'{os.getpid()} run 0.txt\\n'); "
           "threading.Event().wait()");
  Process job(script_command());
  const PluginCall call = calls.wait_for("run", "0.txt");
  // As a terminal does it, but to the worker too, which a terminal would not reach.
  job.send(SIGINT);
  job.send(SIGINT);
  ::kill(call.pid, SIGINT);
  const ProcessResult result = job.wait();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ((result.err + log("user/stderr/0/process000.stderr.txt") +
             log("sys/node/0/process000.stderr.txt"))
                .find("KeyboardInterrupt"),
            std::string::npos);
  expect_no_process_left();
}

}  // namespace
}  // namespace prs::test
