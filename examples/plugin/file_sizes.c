/* An entry for prs-gpu run: one row for each file, its name and its size in bytes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <prs/entry_plugin.h>

typedef struct counters {
  int64_t files;
  char log_path[4096];
} counters;

/* Runs once per worker. Called again in a replacement of a worker that died. */
static int init(void* state, const prs_host* host, const prs_entry_context* context) {
  counters* counts = state;
  int size = snprintf(counts->log_path, sizeof counts->log_path, "%s/file_sizes-%s.txt",
                      context->output_folder, context->agent_name);
  if (size < 0 || (size_t)size >= sizeof counts->log_path) {
    host->error(host->self, "the path of the output folder is too long");
    return 1;
  }
  return 0;
}

static const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static int run(void* state, const prs_host* host, const prs_mini_batch* mini_batch) {
  counters* counts = state;
  if (mini_batch->record_file != NULL) {
    host->error(host->self, "this plugin takes files, not records of IDX or NPY files");
    return 1;
  }
  for (int64_t i = 0; i < mini_batch->file_count; ++i) {
    const char* path = mini_batch->files[i];
    struct stat status;
    char row[512];
    int size;
    if (stat(path, &status) != 0) {
      host->item_error(host->self, path, strerror(errno)); /* No row: the item has failed. */
      continue;
    }
    size = snprintf(row, sizeof row, "%s %" PRIdMAX, base_name(path), (intmax_t)status.st_size);
    host->row(host->self, row, (size_t)size);
    ++counts->files;
  }
  return 0;
}

/* Runs at an orderly end of the worker. What summary_only steps have to say goes into files. */
static void write_total(void* state) {
  counters* counts = state;
  FILE* file = fopen(counts->log_path, "w");
  if (file == NULL) return;
  fprintf(file, "%" PRId64 " files\n", counts->files);
  fclose(file);
}

int prs_entry_plugin(prs_entry_plugin_table* table) {
  static counters counts;
  table->abi_version = PRS_ENTRY_ABI_VERSION;
  table->size = sizeof *table;
  table->state = &counts;
  table->init = init;
  table->run = run;
  table->shutdown = write_total;
  return 0;
}
