// A plugin that tells what it gets, and misbehaves as its arguments say.
#include <prs/entry_plugin.h>

#include <deque>
#include <fstream>
#include <stdexcept>
#include <string>

namespace {

struct Probe {
  std::string arguments;  // Each with a blank behind it.
  std::string context;
  int inits = 0;
  int runs = 0;
};

bool told(const Probe& probe, const char* argument) {
  return probe.arguments.find(std::string(argument) + " ") != std::string::npos;
}

int init(void* state, const prs_host* host, const prs_entry_context* context) {
  Probe& probe = *static_cast<Probe*>(state);
  ++probe.inits;
  probe.arguments.clear();
  for (int32_t i = 0; i < context->argument_count; ++i) {
    probe.arguments += std::string(context->arguments[i]) + " ";
  }
  probe.context = std::string(context->output_folder) + " " + context->log_folder + " " +
                  context->agent_name + " " + context->run_id + " " +
                  std::to_string(context->node_id);
  if (told(probe, "--row-in-init")) host->row(host->self, "x", 1);
  if (told(probe, "--fail-init")) {
    host->error(host->self, "no weights");
    return 1;
  }
  return 0;
}

int run(void* state, const prs_host* host, const prs_mini_batch* batch) {
  Probe& probe = *static_cast<Probe*>(state);
  ++probe.runs;
  const auto row = [&](const std::string& text) {
    host->row(host->self, text.data(), text.size());
  };
  if (told(probe, "--fail-second-run") && probe.runs == 2) {
    row("lost");
    host->error(host->self, "first");
    host->error(host->self, "the disk is on fire");
    return 5;
  }
  if (told(probe, "--fail-silently")) return -2;
  if (told(probe, "--throw")) throw std::runtime_error("thrown by the plugin");
  if (told(probe, "--empty-rows")) {
    host->row(host->self, nullptr, 0);
    row("a\nb");
    host->item_error(host->self, nullptr, nullptr);
    return 0;
  }
  row(probe.context);
  row(probe.arguments + std::to_string(probe.inits));
  row("mini-batch " + std::to_string(batch->index));
  for (int64_t i = 0; i < batch->file_count; ++i) row(batch->files[i]);
  if (batch->record_file != nullptr) {
    row(std::string(batch->record_file) + " " + std::to_string(batch->first_record) + " " +
        std::to_string(batch->record_count));
  }
  host->item_error(host->self, "7.png", "too dark");
  return 0;
}

void shutdown(void* state) {
  const Probe& probe = *static_cast<const Probe*>(state);
  std::ofstream(probe.context.substr(0, probe.context.find(' ')) + "/shut-down") << probe.runs;
}

}  // namespace

int prs_entry_plugin(prs_entry_plugin_table* table) {
  // A worker loads a plugin once; the tests do so several times in one process.
  static std::deque<Probe> probes;
  *table = {PRS_ENTRY_ABI_VERSION, sizeof *table, &probes.emplace_back(), init, run, shutdown};
  return 0;
}
