#!/usr/bin/env python3
"""Check who includes whom.

The rooms stand in one line, core < cuda < scheduler < cli; a room includes
itself and what stands left of it, and of that only what the table below opens.
Examples see the installed headers only, bench the job's decisions as well,
which it measures alone; the program measures with bench/measure. `--self-test` checks the check.
"""

import posixpath
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PUBLIC = ("core/include/prs/",)
PLUGIN_API = ("scheduler/include/prs/",)
# Room -> what it may include besides itself: prefixes of paths in the tree.
ROOMS = {
    "core": (),
    "cuda": PUBLIC + ("core/backend.hpp", "core/check.hpp", "core/graph/", "core/ops/"),
    "scheduler": PUBLIC,
    "cli": PUBLIC + ("scheduler/", "bench/measure/"),
    "examples": PUBLIC + PLUGIN_API,
    "bench": PUBLIC + PLUGIN_API + ("scheduler/job/",),
}
# Where #include "x" and <x> are looked for, after the including file's own folder.
SEARCH = {
    "core": ("core", "core/include"),
    "cuda": ("cuda", "core", "core/include"),
    "scheduler": ("scheduler", "scheduler/include", "core/include"),
    "cli": ("cli", "scheduler", "scheduler/include", "core/include", "bench"),
    "examples": ("core/include", "scheduler/include"),
    "bench": ("bench", "core/include", "scheduler", "scheduler/include"),
}
# Written by CMake at build time.
GENERATED = {"generated/version_info.hpp", "completion_scripts.hpp", "protocol.pb.h"}
# Only the room cuda may know CUDA.
CUDA_HEADER = re.compile(r"(cuda|cublas|cudnn|nvml|driver_types|vector_types|device_launch)\w*\.h$"
                         r"|.*\.cuh$")
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def problem_of(source, quote, header, exists):
    """Return what is wrong with `source` including `header`, or None.

    `exists` tells whether a path of the tree exists.
    """
    room = source.split("/")[0]
    if CUDA_HEADER.match(posixpath.basename(header)) and room != "cuda":
        return "only cuda/ may include CUDA's headers"
    if header in GENERATED:
        return None
    folders = SEARCH[room] if quote == "<" else (posixpath.dirname(source),) + SEARCH[room]
    found = [posixpath.normpath(f"{folder}/{header}") for folder in folders]
    target = next((path for path in found if exists(path)), None)
    if target is None:
        if quote == "<" and not header.startswith("prs/"):
            return None  # The system's or a dependency's.
        return f"not found in {', '.join(folders)}"
    if target.split("/")[0] == room or target.startswith(ROOMS[room]):
        return None
    return f"{room} may not include {target}"


def check_tree():
    """Print the problems of all sources; return the exit status."""
    sources = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*"))
               if path.suffix in {".c", ".h", ".cpp", ".hpp", ".cu", ".cuh", ".inc"}]
    problems = 0
    for path in sources:
        source = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            problem = problem_of(source, match[1], match[2], lambda p: (ROOT / p).is_file())
            if problem:
                problems += 1
                print(f"{source}:{number}: #include {match[2]}: {problem}")
    if not problems:
        print(f"{len(sources)} files")
    return 1 if problems or not sources else 0


def self_test():
    """Check problem_of against includes known to be right or wrong."""
    tree = {"core/check.hpp", "core/cpu/plan.hpp", "core/include/prs/engine.hpp",
            "core/backend.hpp", "cuda/probe.hpp", "cli/text.hpp", "scheduler/job.hpp",
            "scheduler/include/prs/plugin.h", "bench/measure/peaks.hpp", "bench/contender.hpp"}
    right = [("core/cpu/gemm.cpp", '"', "check.hpp"), ("core/cpu/gemm.cpp", '"', "plan.hpp"),
             ("core/error.cpp", "<", "vector"), ("cuda/backends.cpp", '"', "backend.hpp"),
             ("cuda/probe.cu", "<", "cuda_runtime_api.h"), ("cli/score.cpp", "<", "prs/engine.hpp"),
             ("scheduler/job.cpp", "<", "prs/engine.hpp"), ("cli/score.cpp", '"', "text.hpp"),
             ("cli/score.cpp", '"', "job.hpp"), ("cli/bench.cpp", '"', "measure/peaks.hpp"),
             ("scheduler/job.cpp", "<", "prs/plugin.h")]
    wrong = [("core/error.cpp", '"', "../cuda/probe.hpp"), ("core/error.cpp", "<", "cuda_runtime.h"),
             ("cuda/backends.cpp", '"', "cpu/plan.hpp"), ("cli/score.cpp", '"', "check.hpp"),
             ("scheduler/job.cpp", '"', "../cuda/probe.hpp"),
             ("scheduler/job.cpp", '"', "../core/check.hpp"), ("core/error.cpp", '"', "missing.hpp"),
             ("examples/embed/main.cpp", '"', "../../core/check.hpp"),
             ("core/error.cpp", '"', "../cli/text.hpp"), ("cli/bench.cpp", '"', "contender.hpp"),
             ("cuda/probe.cu", '"', "../scheduler/job.hpp")]
    bad = [case for case in right if problem_of(*case, tree.__contains__)]
    bad += [case for case in wrong if not problem_of(*case, tree.__contains__)]
    for case in bad:
        print("judged wrongly:", *case)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(self_test() if sys.argv[1:] == ["--self-test"] else check_tree())
