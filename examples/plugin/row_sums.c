/* A native entry for tables: one row of output a row, the sum of its numbers. */
#include <prs/entry_plugin.h>
#include <stdio.h>

static double value_of(const prs_column* column, int64_t row) {
  switch (column->type) {
    case PRS_COLUMN_INT64:
      return (double)column->integers[row];
    case PRS_COLUMN_FLOAT64:
      /* Missing values are NaN, the only number that differs from itself. */
      return column->floats[row] == column->floats[row] ? column->floats[row] : 0.0;
    default:
      return 0.0;
  }
}

static int run(void* state, const prs_host* host, const prs_mini_batch* batch) {
  (void)state;
  if (batch->column_count == 0) {
    host->error(host->self, "the inputs are no tables; give .csv, .jsonl or .parquet files");
    return 1;
  }
  for (int64_t row = 0; row < batch->row_count; ++row) {
    double sum = 0.0;
    for (int32_t i = 0; i < batch->column_count; ++i) sum += value_of(&batch->columns[i], row);
    char text[64];
    const int size =
        snprintf(text, sizeof text, "%lld: %g", (long long)(batch->first_record + row), sum);
    host->row(host->self, text, (size_t)size);
  }
  return 0;
}

int prs_entry_plugin(prs_entry_plugin_table* table) {
  table->abi_version = PRS_ENTRY_ABI_VERSION;
  table->size = sizeof *table;
  table->run = run;
  return 0;
}
