#include "dataset/duckdb.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include <prs/error.hpp>

namespace prs::dataset {
namespace {

// As duckdb.h of 1.x declares them; the interface is kept stable by DuckDB.
using Handle = void*;
struct ResultHandle {
  std::uint64_t deprecated_counts[3];
  void* deprecated_pointers[2];
  void* internal;
};
/// Up to 12 bytes lie in the struct, longer texts behind a pointer.
union Text {
  struct {
    std::uint32_t size;
    char bytes[12];
  } inlined;
  struct {
    std::uint32_t size;
    char prefix[4];
    const char* bytes;
  } pointer;
};
static_assert(sizeof(Text) == 16);

constexpr const char* kInstalled = "/usr/local/lib/prs-gpu/libduckdb.so";

struct Api {
  int (*open)(const char*, Handle*);
  void (*close)(Handle*);
  int (*connect)(Handle, Handle*);
  void (*disconnect)(Handle*);
  int (*query)(Handle, const char*, ResultHandle*);
  void (*destroy_result)(ResultHandle*);
  const char* (*result_error)(ResultHandle*);
  Handle (*fetch_chunk)(ResultHandle);
  void (*destroy_data_chunk)(Handle*);
  std::uint64_t (*data_chunk_get_size)(Handle);
  Handle (*data_chunk_get_vector)(Handle, std::uint64_t);
  void* (*vector_get_data)(Handle);
  std::uint64_t* (*vector_get_validity)(Handle);
};

[[noreturn]] void fail_library(const std::string& why) {
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("Parquet files need DuckDB's library, which cannot be loaded: {}; "
                  "scripts/install-deps.sh --parquet installs it, PRS_DUCKDB=FILE names one",
                  why));
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  if (function == nullptr) fail_library(fmt::format("it has no {}", name));
}

/// Never unloaded: it may have threads.
Api load_api() {
  const char* const chosen = std::getenv("PRS_DUCKDB");
  std::vector<const char*> names = {kInstalled, "libduckdb.so"};
  if (chosen != nullptr && *chosen != '\0') names = {chosen};
  void* library = nullptr;
  std::string why;
  for (const char* name : names) {
    library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) break;
    why += (why.empty() ? "" : "; ") + std::string(::dlerror());
  }
  if (library == nullptr) fail_library(why);
  Api api{};
  find(library, "duckdb_open", api.open);
  find(library, "duckdb_close", api.close);
  find(library, "duckdb_connect", api.connect);
  find(library, "duckdb_disconnect", api.disconnect);
  find(library, "duckdb_query", api.query);
  find(library, "duckdb_destroy_result", api.destroy_result);
  find(library, "duckdb_result_error", api.result_error);
  find(library, "duckdb_fetch_chunk", api.fetch_chunk);
  find(library, "duckdb_destroy_data_chunk", api.destroy_data_chunk);
  find(library, "duckdb_data_chunk_get_size", api.data_chunk_get_size);
  find(library, "duckdb_data_chunk_get_vector", api.data_chunk_get_vector);
  find(library, "duckdb_vector_get_data", api.vector_get_data);
  find(library, "duckdb_vector_get_validity", api.vector_get_validity);
  return api;
}

}  // namespace

struct Duckdb::State {
  Api api = load_api();
  Handle database = nullptr;
  Handle connection = nullptr;
};

struct DuckdbResult::State {
  explicit State(const Api& the_api) : api(the_api) {}
  ~State() {
    if (chunk != nullptr) api.destroy_data_chunk(&chunk);
    api.destroy_result(&result);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  const Api& api;
  ResultHandle result{};
  Handle chunk = nullptr;
};

Duckdb& Duckdb::instance() {
  static thread_local Duckdb instance;
  return instance;
}

Duckdb::Duckdb() : state_(std::make_unique<State>()) {
  State& state = *state_;
  if (state.api.open(nullptr, &state.database) != 0 ||
      state.api.connect(state.database, &state.connection) != 0) {
    fail_library("it cannot open a database in memory");
  }
  // Workers share the machine; rows keep the order of the file; nothing is fetched from a network.
  query("SET threads=1; SET preserve_insertion_order=true; SET autoinstall_known_extensions=false",
        "DuckDB");
}

Duckdb::~Duckdb() {
  if (state_->connection != nullptr) state_->api.disconnect(&state_->connection);
  if (state_->database != nullptr) state_->api.close(&state_->database);
}

DuckdbResult Duckdb::query(const std::string& sql, const std::string& what) {
  auto result = std::make_unique<DuckdbResult::State>(state_->api);
  if (state_->api.query(state_->connection, sql.c_str(), &result->result) != 0) {
    const char* const message = state_->api.result_error(&result->result);
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}", what, message == nullptr ? "unknown error" : message));
  }
  return DuckdbResult(std::move(result));
}

DuckdbResult::DuckdbResult(std::unique_ptr<State> state) : state_(std::move(state)) {}
DuckdbResult::~DuckdbResult() = default;
DuckdbResult::DuckdbResult(DuckdbResult&&) noexcept = default;

bool DuckdbResult::next() {
  State& state = *state_;
  if (state.chunk != nullptr) state.api.destroy_data_chunk(&state.chunk);
  state.chunk = state.api.fetch_chunk(state.result);
  return state.chunk != nullptr && rows() > 0;
}

std::int64_t DuckdbResult::rows() const {
  return static_cast<std::int64_t>(state_->api.data_chunk_get_size(state_->chunk));
}

const void* DuckdbResult::values(std::size_t column) const {
  return state_->api.vector_get_data(state_->api.data_chunk_get_vector(state_->chunk, column));
}

std::string_view DuckdbResult::text(std::size_t column, std::int64_t row) const {
  const Text& text = data<Text>(column)[row];
  const std::uint32_t size = text.inlined.size;
  return {size <= sizeof text.inlined.bytes ? text.inlined.bytes : text.pointer.bytes, size};
}

bool DuckdbResult::is_valid(std::size_t column, std::int64_t row) const {
  const std::uint64_t* const mask =
      state_->api.vector_get_validity(state_->api.data_chunk_get_vector(state_->chunk, column));
  return mask == nullptr || (mask[row / 64] >> (row % 64) & 1) != 0;
}

}  // namespace prs::dataset
