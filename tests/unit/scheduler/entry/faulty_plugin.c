/* Plugins with one fault each, chosen by a definition. */
#include <prs/entry_plugin.h>

static int run(void* state, const prs_host* host, const prs_mini_batch* mini_batch) {
  (void)state, (void)host, (void)mini_batch;
  return 0;
}

#ifdef PRS_FAULT_NO_SYMBOL
#define prs_entry_plugin prs_entry_plugin_v0
PRS_ENTRY_PLUGIN_API int prs_entry_plugin_v0(prs_entry_plugin_table* table);
#endif

int prs_entry_plugin(prs_entry_plugin_table* table) {
  table->abi_version = PRS_ENTRY_ABI_VERSION;
  table->size = sizeof *table;
  table->run = run;
#ifdef PRS_FAULT_ABI
  table->abi_version = 7;
#endif
#ifdef PRS_FAULT_SIZE
  table->size = 8;
#endif
#ifdef PRS_FAULT_NO_RUN
  table->run = 0;
#endif
#ifdef PRS_FAULT_REFUSES
  return 3;
#else
  return 0;
#endif
}
