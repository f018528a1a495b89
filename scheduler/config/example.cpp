#include "config/step.hpp"

namespace prs::config {

std::string example_step() {
  return R"(# A step for prs-gpu run. Paths are relative to this file. Keys may be written in Azure ML's v1
# spelling, as here, or in v2's (retry_settings: {timeout: 60}); a v2 pipeline.yml works too.

name: fashion-mnist                # 3 to 32 of a-z, 0-9 and -; default: this file's name

# What runs: an ONNX model. Or a Python script (entry_script: score.py), or an entry of your own in
# C or C++ (plugin: libscore.so).
model: models/lenet.onnx
# scale: 1                         # value = (pixel * scale - mean) / std; default: the model's own
# channel_order: bgr               # of a model that takes blue, green, red; default: rgb
# class_names: models/classes.txt  # one name a line
top_k: 1                           # best classes in each row

# On what: files, folders, globs, @lists, IDX and NPY files.
inputs:
  - images

# Where the rows go: <output>/<append_row_file_name>, logs below <output>/logs.
output: out
output_action: append_row          # or summary_only: count results, write no rows
append_row_file_name: parallel_run_step.txt
output_format: text                # or csv, jsonl
ordered: false                     # true: rows sorted by mini-batch
overwrite: false                   # true: replace an output that is there already

# How it is cut up: 10 files, or rows:100, or of record files 100kb.
mini_batch_size: 10
# process_count_per_node: 2        # workers; default: 1 with GPUs, else one a core
gpus_per_worker: 1                 # or all
device: auto                       # or cpu, cuda, cuda:N
# precision: bf16                  # what the model's products are computed in; default: fp32

# When a mini-batch is tried again, and for how long it may run.
run_max_try: 3                     # tries in all
run_invocation_timeout: 60         # seconds for one mini-batch

# When the job is given up. 0 aborts at the first failure; -1, -1 and 100 switch a limit off.
error_threshold: -1                # failed items, of the whole input
allowed_failed_count: -1           # failed mini-batches
allowed_failed_percent: 100        # failed mini-batches, percent

logging_level: INFO                # or WARNING, DEBUG
resource_monitor_interval: 600     # seconds; 0: off
allow_reuse: true                  # take the result of an equal run, if there is one

# environment_variables:
#   OMP_NUM_THREADS: 1
# side_inputs:                     # whole in every worker's reach
#   labels: labels.csv
# arguments: [--labels, "${{side_inputs.labels}}"]   # for a plugin
)";
}

}  // namespace prs::config
