#include "logs/readme.hpp"

namespace prs::logs {

std::string_view readme_text() {
  return R"(The logs of one job
===================

Read job_result.txt first: it says how the job ended, why, and where to look next. While the job runs,
read the newest job_progress_overview file. All times are UTC. <node> is 0, 1, 2, ...; <process> is
process000, process001, ...: a worker that dies is replaced by one with the next number and files of
its own. A file is missing when there was nothing to write.

job_result.txt
    How the job ended: status, reason, root cause, counts, where to look, what to do next.
job_progress_overview.<yyyymmddhh>.txt
    How far the job was, line by line. A new file begins each UTC day; the name holds the hour in
    which it began.
readme.txt
    This text.

user/   what your entry (script, plugin or model) wrote
user/error.txt
    All errors of the entry, one line each.
user/error/<node>/<process>.txt
    The same errors whole, with their traces: of loading, of init() and of run().
user/entry_script_log/<node>/<process>.log.txt
    What the script wrote to EntryScript's logger.
user/metrics.prom
    The sums of what the script gave Run.log(), for Prometheus; prs-gpu metrics shows all of it.
user/stdout/<node>/<process>.stdout.txt
    What the script printed, and Python's root logger.
user/stderr/<node>/<process>.stderr.txt
    What the script wrote to stderr.

sys/    what the system did; logging_level says how much of it stands in master_role and node
sys/master_role.txt, sys/master_role.1.txt, ...
    The orchestrator: how it began, what it decided, how it ended. One more file for each time the job
    was resumed.
sys/error/<node>/<process>.txt
    Errors of the system itself, not of your entry.
sys/node/<node>/<process>.txt
    One line for each mini-batch a worker took: address and pid; items in all, succeeded, failed; start,
    duration, process time (CPU), time within run(); status.
sys/node/<node>/<process>.stdout.txt, <process>.stderr.txt
    Output of native code and of programs that the entry started, and of a worker that crashed.
sys/node/<node>/<process>.profile
    With --profiling_module: the profile, for Python's pstats.

sys/job_report/processed_mini-batches.csv
    One row for each try of a mini-batch.
      Mini-batch Id          0, 1, 2, ... within the job.
      Picked Count           Which try this was; above 1 the mini-batch was repeated.
      Process                <node>/<process> that took it.
      Process Start Time     When the process began with this try.
      Total, Succeeded, Failed
                             Items. Succeeded is the number of rows that run() returned.
      Elapsed Seconds        From sending the mini-batch to its end.
      Process Seconds        CPU time.
      Run Method Seconds     Time within run().
      Status                 RUN_DONE, or what ended the try: RUN_EXCEPTION, RUN_TIMEOUT,
                             LOAD_TIMEOUT, RUN_CRASHED, RUN_OOM, NODE_LOST.
      Error Category, Error Message
                             Of a try that did not end as RUN_DONE.
      Mini-batch Detail (JSON)
                             Its files, or its record file and range.
sys/job_report/process_summary.csv
    One row for each worker process: what it did and how long it was busy. Failed Items are those that
    run() returned no row for; items of a failed try are not counted, the try is. Life Seconds run from
    the process's start, Busy Seconds are the sum of its tries. Restart says which run of a resumed job
    the process belonged to. Rows are at most a second old while the job runs.
sys/job_report/node_summary.csv
    The same for each node. Where "Fewest" and "Most Mini-batches of a Process" lie far apart, compare
    the rows of process_summary.csv: a process may have started late, died early or been slower.

perf/<node>/   the machine, sampled each resource_monitor_interval
perf/<node>/os/<yyyymmddhh>/processes_<mm>
    All processes, as ps prints them.
perf/<node>/node_resource_usage.csv
    CPU, memory, disk, network, connections, then five columns for each GPU. Cpu Percent is the average
    since the row before; disk and network numbers count from the machine's start. 1 MB = 1024 x 1024
    bytes. node_resource_usage.1.csv: from before the job was resumed with other GPUs.
perf/<node>/node_disk_usage.csv
    Space of the file system that holds the output.
perf/<node>/processes_resource_usage.csv
    Each process of the job. 100 Cpu Percent is one core.
)";
}

}  // namespace prs::logs
