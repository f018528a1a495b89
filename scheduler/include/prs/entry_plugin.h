/* The C interface of a native entry: a shared library that prs-gpu's workers load. C99 and C++.
 *
 * A plugin exports one function, prs_entry_plugin, that fills a table. Strings end with NUL and are
 * UTF-8, except paths, which are the bytes of the file system; what the plugin gets is valid during
 * the call only. All calls of one worker come from one thread: prs_entry_plugin, init, run for each
 * mini-batch, shutdown at an orderly end. The library is never unloaded. A function that returns
 * non-zero failed; it has written why through `error`. A C++ plugin may let exceptions of
 * std::exception's kind out of init and run: they fail the call alike.
 *
 * The version rule: a worker refuses a plugin whose abi_version differs from PRS_ENTRY_ABI_VERSION.
 */
#ifndef PRS_ENTRY_PLUGIN_H
#define PRS_ENTRY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PRS_ENTRY_ABI_VERSION 2

/* What the worker offers to a call. */
typedef struct prs_host {
  void* self;
  /* One row of output, without the newline. Only within run; a call from init fails that. */
  void (*row)(void* self, const char* text, size_t size);
  /* An item that failed, and why; for the log. Does not count: rows do. Only within run. */
  void (*item_error)(void* self, const char* item, const char* reason);
  /* Why this call fails. The last message counts. */
  void (*error)(void* self, const char* message);
} prs_host;

typedef struct prs_entry_context {
  const char* output_folder;
  const char* log_folder;
  const char* agent_name; /* "process000" */
  const char* run_id;
  int32_t node_id;
  int32_t argument_count;
  const char* const* arguments;
} prs_entry_context;

enum prs_column_type {
  PRS_COLUMN_INT64 = 0,
  PRS_COLUMN_FLOAT64 = 1, /* missing: NaN */
  PRS_COLUMN_BOOL = 2,    /* a byte each, 0 or 1 */
  PRS_COLUMN_STRING = 3,
  PRS_COLUMN_TIMESTAMP = 4 /* int64: nanoseconds since 1970-01-01 UTC */
};

/* One column of a table; only the array of its type is set, each has row_count values. */
typedef struct prs_column {
  const char* name;
  int32_t type; /* enum prs_column_type */
  const int64_t* integers;
  const double* floats;
  const uint8_t* bools;
  const int64_t* string_offsets; /* row_count + 1: string i is bytes [offsets[i], offsets[i+1]) */
  const char* string_bytes;      /* UTF-8, without NULs between the strings */
  const uint8_t* valid;          /* 1 where there is a value, 0 where missing; NULL: all are */
} prs_column;

/* Files: file_count paths. Records: record_file with records [first_record, first_record +
 * record_count); file_count is 0 then. A table: row_count rows in column_count columns, of the file
 * record_file from row first_record on (with partition keys: those of the first row; the rows may
 * be of several files). With partition keys each key's name and value, of files and tables. */
typedef struct prs_mini_batch {
  int64_t index;
  int64_t file_count;
  const char* const* files;
  const char* record_file;
  int64_t first_record;
  int64_t record_count;
  int64_t row_count;
  int32_t column_count; /* 0: no table */
  const prs_column* columns;
  int32_t partition_count;
  const char* const* partition_names;
  const char* const* partition_values;
} prs_mini_batch;

typedef struct prs_entry_plugin_table {
  uint32_t abi_version; /* PRS_ENTRY_ABI_VERSION */
  uint32_t size;        /* sizeof(prs_entry_plugin_table) */
  void* state;          /* handed back to every call */
  int (*init)(void* state, const prs_host* host, const prs_entry_context* context); /* or NULL */
  int (*run)(void* state, const prs_host* host, const prs_mini_batch* mini_batch);
  void (*shutdown)(void* state); /* or NULL */
} prs_entry_plugin_table;

/* Exported also where symbols are hidden by default. */
#if defined(__GNUC__)
#define PRS_ENTRY_PLUGIN_API __attribute__((visibility("default")))
#else
#define PRS_ENTRY_PLUGIN_API
#endif

/* Exported by the plugin. Gets a table of zeros; returns 0 when it is filled. */
PRS_ENTRY_PLUGIN_API int prs_entry_plugin(prs_entry_plugin_table* table);
typedef int (*prs_entry_plugin_function)(prs_entry_plugin_table* table);

#ifdef __cplusplus
}
#endif
#endif
