/* A native entry that does nothing but return its paths: the yardstick for noop.py. */
#include <prs/entry_plugin.h>
#include <string.h>

static int run(void* state, const prs_host* host, const prs_mini_batch* mini_batch) {
  (void)state;
  for (int64_t i = 0; i < mini_batch->file_count; ++i) {
    host->row(host->self, mini_batch->files[i], strlen(mini_batch->files[i]));
  }
  return 0;
}

__attribute__((visibility("default"))) int prs_entry_plugin(prs_entry_plugin_table* table) {
  table->abi_version = PRS_ENTRY_ABI_VERSION;
  table->size = sizeof *table;
  table->run = run;
  return 0;
}
