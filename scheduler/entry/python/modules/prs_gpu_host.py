"""What runs an entry script inside a worker (section E of docs/semantics.md).

The worker's native side makes one Host and calls load(), init(), run() for each mini-batch, and
shutdown(), on the interpreter's main thread.
"""

import faulthandler
import importlib
import importlib.util
import inspect
import json
import logging
import os
import signal
import site
import sys
import time
import traceback
import types

import prs_gpu_rows

_host = None


def current():
    """The Host of this process; None outside of a worker."""
    return _host


class MiniBatch(list):
    """The paths of a mini-batch's files (E4)."""

    task_id = 0


class MiniBatchContext:
    """What run() gets as its second argument (E3)."""

    __slots__ = ("minibatch_index", "partition_key_value", "dataset")

    def __init__(self, minibatch_index, partition_key_value, dataset):
        self.minibatch_index = minibatch_index
        self.partition_key_value = partition_key_value
        self.dataset = dataset


def _wants_context(function):
    """E3: by the signature. A second parameter with a default of its own is the script's affair
    unless its name says context."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters
                  if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(positional) < 2:
        return False
    second = positional[1]
    return second.default is second.empty or "context" in second.name


def _open_stream(path):
    # Line by line: what was printed before a crash is what explains it.
    return open(path, "a", buffering=1, encoding="utf-8", errors="backslashreplace")


def _end_forked_child():
    """A child that the script forked came back out of the script: it ends as a program would, and
    never speaks to the agent in the worker's name."""
    error = sys.exc_info()[1]
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if code == 1 and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code & 0xFF)


class Host:
    """One worker's script. `settings` are those of script_entry.cpp, paths as text."""

    def __init__(self, settings):
        global _host
        _host = self
        self.settings = types.SimpleNamespace(**settings)
        self._try = (None, None)  # The mini-batch that runs, and which try of it.
        self._pid = os.getpid()
        self._metrics = None
        self._has_metrics = False  # Since the last mini-batch.
        self._profiler = None
        self._profile_written = time.monotonic()
        self._module = None
        self._run = None
        self._wants_context = False
        self._rows = prs_gpu_rows.RowWriter(
            self.settings.output_format, self.settings.counts_only, self.settings.safe_output,
            self.settings.dataframe_header)

    # The life of the script.

    def load(self):
        """Prepares the process and runs the script's module-level code."""
        self._dump_stacks()
        if not self.settings.foreground:
            # Importing signal has installed KeyboardInterrupt; a worker is ended like any program.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            self._redirect_streams()
        self._set_up_logging()
        self._set_up_path()
        if self.settings.profiling_module:
            self._profiler = importlib.import_module(self.settings.profiling_module).Profile()
        sys.argv = list(self.settings.argv)
        if self.settings.debugpy_port:
            self._wait_for_debugger()
        self._module = self._call(self._import_script)
        run = getattr(self._module, "run", None)
        if not callable(run):
            names = [name for name in vars(self._module) if not name.startswith("__")]
            raise AttributeError(f"{self.settings.script} defines no function run(mini_batch); it "
                                 f"defines {', '.join(names) or 'nothing'}")
        self._wants_context = _wants_context(run)
        self._run = run
        if self._profiler is not None:
            self._run = lambda *arguments: self._profiler.runcall(run, *arguments)

    def init(self):
        function = getattr(self._module, "init", None)
        if function is not None:
            self._call(function)
        self._flush()

    def run(self, data, index, attempt, partition):
        """Runs one mini-batch: `data` is a list of paths, or a DataFrame; `partition` the values of
        its partition keys. Gives (rows as bytes, their number, header, whether metrics were
        logged)."""
        self._try = (index, attempt)
        try:
            if isinstance(data, list):
                data = MiniBatch(data)
                data.task_id = index
            if self._wants_context:
                context = MiniBatchContext(index, partition, data)
                result = self._call(self._run, data, context)
            else:
                result = self._call(self._run, data)
            rows = self._rows.write(result)
        finally:
            self._try = (None, None)
            self._flush()
        if self._profiler is not None and time.monotonic() - self._profile_written > 10:
            self._write_profile()
        has_metrics, self._has_metrics = self._has_metrics, False
        return *rows, has_metrics

    def shutdown(self):
        try:
            function = getattr(self._module, "shutdown", None)
            if function is not None:
                self._call(function)
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            if self._profiler is not None:
                self._write_profile()
            self._flush()

    def describe(self):
        parts = [f"script {self.settings.script}", f"Python {sys.version.split()[0]}"]
        if sys.prefix != sys.base_prefix:
            parts.append(f"packages of {sys.prefix}")
        return ", ".join(parts)

    def describe_error(self, error):
        """A failure as (one line with the place in the script, the whole trace)."""
        self._flush()
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if self._is_users(frame.filename)]
        if isinstance(error, SyntaxError) and error.filename:
            place = f"{os.path.basename(error.filename)}:{error.lineno}"
        elif own:
            place = f"{os.path.basename(own[-1].filename)}:{own[-1].lineno} in {own[-1].name}"
        else:
            code = getattr(self._run, "__code__", None)
            place = os.path.basename(self.settings.script)
            if code is not None and isinstance(error, prs_gpu_rows.WrongResult):
                place = f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} in run"
        line = "".join(traceback.format_exception_only(type(error), error)).strip()
        if isinstance(error, SyntaxError):
            line = line.splitlines()[-1]
        line = line.splitlines()[0] if line else type(error).__name__
        return f"{line} ({place})", "".join(traceback.format_exception(
            type(error), error, self._without_host(error.__traceback__)))

    def log_metric(self, kind, name, value):
        """Appends one record to the worker's file of metrics, from which the job takes it; also
        from a thread or a forked child of the script."""
        if not self.settings.metrics:
            print(f"{name} = {value}")  # At the terminal there is no job to keep it.
            return
        mini_batch, attempt = self._try
        record = {"time_us": time.time_ns() // 1000, "mini_batch": mini_batch, "attempt": attempt,
                  "kind": kind, "name": str(name), "value": value}
        try:
            line = json.dumps(record, default=prs_gpu_rows.plain, allow_nan=False)
        except ValueError:
            line = json.dumps(prs_gpu_rows.finite(record), default=prs_gpu_rows.plain)
        if self._metrics is None:
            os.makedirs(os.path.dirname(self.settings.metrics), exist_ok=True)
            self._metrics = os.open(self.settings.metrics,
                                    os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        os.write(self._metrics, line.encode("utf-8", "backslashreplace") + b"\n")
        self._has_metrics = True

    # Parts of load().

    def _dump_stacks(self):
        faulthandler.enable(file=sys.__stderr__.fileno())
        faulthandler.register(self.settings.stack_signal, file=sys.__stderr__.fileno(), chain=True)

    def _redirect_streams(self):
        # The process's own descriptors 1 and 2 stay what they are: native code and child processes
        # write there, and so does faulthandler.
        sys.stdout = _open_stream(self.settings.user_stdout)
        sys.stderr = _open_stream(self.settings.user_stderr)

    def _set_up_logging(self):
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s|%(levelname)s|%(name)s|%(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(self.settings.logging_level)

    def _set_up_path(self):
        if self.settings.site_packages:
            site.addsitedir(self.settings.site_packages)
        folder = os.path.dirname(self.settings.script)
        if folder != self.settings.source_directory:
            sys.path.insert(0, folder)
        sys.path.insert(0, self.settings.source_directory)

    def _wait_for_debugger(self):
        try:
            import debugpy
        except ImportError as error:
            raise RuntimeError(
                f"--debugpy needs the package debugpy, which {sys.executable} does not have: "
                f"{sys.executable} -m pip install debugpy, or Debian's python3-debugpy") from error
        # Its adapter is a program of its own, for the interpreter that we stand in for.
        debugpy.configure(python=sys.executable)
        host, port = debugpy.listen(("127.0.0.1", self.settings.debugpy_port))
        print(f"prs-gpu: waiting for a debugger at {host}:{port}", file=sys.stderr, flush=True)
        debugpy.wait_for_client()

    def _import_script(self):
        relative = os.path.relpath(self.settings.script, self.settings.source_directory)
        parts = os.path.splitext(relative)[0].split(os.sep)
        name = ".".join(parts)
        # As multiprocessing and pickle import it, unless the name is no name or another module's.
        if (not all(part.isidentifier() for part in parts) or name in sys.modules
                or parts[0] in sys.stdlib_module_names):
            name = "prs_gpu_entry_script"
        spec = importlib.util.spec_from_file_location(name, self.settings.script)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    # Small things.

    def _call(self, function, *arguments):
        try:
            return function(*arguments)
        finally:
            if os.getpid() != self._pid:
                _end_forked_child()

    def _flush(self):
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass  # The script's own stream, or a full disk: no reason to fail a try.

    def _write_profile(self):
        self._profiler.dump_stats(self.settings.profile)
        self._profile_written = time.monotonic()

    def _is_users(self, filename):
        return os.path.abspath(filename).startswith(self.settings.source_directory + os.sep)

    @staticmethod
    def _without_host(trace):
        """The trace from the first frame that is not this module's or the import system's."""
        first = trace
        while first is not None:
            filename = first.tb_frame.f_code.co_filename
            if filename not in (__file__, prs_gpu_rows.__file__) and "importlib" not in filename:
                return first
            first = first.tb_next
        return None


