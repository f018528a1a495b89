#include "monitor/profile.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include <prs/error.hpp>

namespace prs::profile {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, kStages> kNames = {
    "start",    "list",    "dispatch", "accept", "journal",  "logs",    "read",  "decode",
    "assemble", "compute", "rows",     "append", "messages", "waiting", "finish"};
constexpr std::size_t kBufferBytes = std::size_t{1} << 16;
/// Shorter ones count in the sums and are left out of the trace, which they would only swell.
constexpr auto kShortest = std::chrono::microseconds(5);

thread_local Scope* innermost = nullptr;

double in_us(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

std::string event(std::string_view name, std::string_view phase, int track, std::string_view more) {
  return fmt::format(R"({{"name":"{}","ph":"{}","pid":{},"tid":{},{}}})"
                     "\n",
                     name, phase, ::getpid(), track, more);
}

}  // namespace

std::string_view stage_name(Stage stage) noexcept {
  return kNames[static_cast<std::size_t>(stage)];
}

Recorder::Recorder(const fs::path& file, std::string process)
    : process_(std::move(process)), file_(std::fopen(file.c_str(), "we"), std::fclose) {
  lines_ =
      event("process_name", "M", ::gettid(), fmt::format(R"("args":{{"name":"{}"}})", process_));
  name_track(::gettid(), process_);
}

Recorder::~Recorder() { flush(); }

void Recorder::name_thread(std::string_view what) {
  const std::lock_guard lock(mutex_);
  name_track(::gettid(), fmt::format("{} {}", process_, what));
}

void Recorder::name_track(int track, const std::string& name) {
  tracks_[track] = name;
  lines_ += event("thread_name", "M", track, fmt::format(R"("args":{{"name":"{}"}})", name));
}

void Recorder::add(Stage stage, Clock::time_point start, Clock::time_point end,
                   Clock::duration within) {
  const int track = ::gettid();
  if (innermost != nullptr) innermost->within_ += end - start;
  const std::lock_guard lock(mutex_);
  const auto own = end - start - within;
  sums_[track][static_cast<std::size_t>(stage)] += std::chrono::duration<double>(own).count();
  if (end - start < kShortest) return;
  lines_ += event(stage_name(stage), "X", track,
                  fmt::format(R"("ts":{:.3f},"dur":{:.3f})", in_us(start.time_since_epoch()),
                              in_us(end - start)));
  if (lines_.size() > kBufferBytes) write_lines();
}

void Recorder::flush() {
  const std::lock_guard lock(mutex_);
  write_lines();
}

void Recorder::write_lines() {
  std::string sums;
  for (const auto& [track, seconds] : sums_) {
    std::string stages;
    for (std::size_t i = 0; i < kStages; ++i) {
      if (seconds[i] == 0) continue;
      stages += fmt::format(R"({}"{}":{:.9f})", stages.empty() ? "" : ",", kNames[i], seconds[i]);
    }
    sums += fmt::format(R"({}"{}":{{{}}})", sums.empty() ? "" : ",", tracks_[track], stages);
  }
  lines_ += fmt::format("{{\"sums\":{{{}}}}}\n", sums);
  if (file_ != nullptr) {
    std::fwrite(lines_.data(), 1, lines_.size(), file_.get());
    std::fflush(file_.get());
  }
  lines_.clear();
}

void Scope::begin(Stage stage) {
  stage_ = stage;
  outer_ = std::exchange(innermost, this);
  start_ = Clock::now();
}

void Scope::end() {
  const Clock::time_point now = Clock::now();
  innermost = outer_;
  recorder_->add(stage_, start_, now, within_);
}

namespace {

/// Columns of the table.
enum Column { kProgram, kWorkers, kReaders, kColumns };

using Table = std::array<std::array<double, kColumns>, kStages>;

Column column_of(std::string_view track, std::string_view own) {
  if (track.starts_with(own)) return kProgram;
  return track.find(' ') == std::string_view::npos ? kWorkers : kReaders;
}

void add_sums(const nlohmann::json& sums, std::string_view own, Table& table) {
  for (const auto& [track, stages] : sums.items()) {
    for (std::size_t i = 0; i < kStages; ++i) {
      table[i][column_of(track, own)] += stages.value(std::string(kNames[i]), 0.0);
    }
  }
}

std::string text_of(const Table& table) {
  std::string text = fmt::format("Where the time went, in seconds:\n  {:<10}{:>12}{:>12}{:>12}\n",
                                 "stage", "prs-gpu", "workers", "readers");
  std::array<double, kColumns> total{};
  const auto line = [&](std::string_view name, const std::array<double, kColumns>& cells) {
    text += fmt::format("  {:<10}", name);
    for (const double seconds : cells) {
      text += seconds > 0 ? fmt::format("{:>12.4f}", seconds) : fmt::format("{:>12}", "");
    }
    text += '\n';
  };
  for (std::size_t i = 0; i < kStages; ++i) {
    bool any = false;
    for (std::size_t column = 0; column < kColumns; ++column) {
      total[column] += table[i][column];
      any = any || table[i][column] > 0;
    }
    if (any) line(kNames[i], table[i]);
  }
  line("total", total);
  return text;
}

}  // namespace

std::string write_profile(std::span<const fs::path> parts, std::string_view own,
                          const fs::path& trace) {
  std::ofstream out(trace, std::ios::binary);
  out << R"({"displayTimeUnit":"ms","traceEvents":[)";
  Table table{};
  const char* separator = "\n";
  for (const fs::path& part : parts) {
    std::ifstream in(part, std::ios::binary);
    nlohmann::json sums = nlohmann::json::object();
    for (std::string line; std::getline(in, line);) {
      // A worker that was killed leaves half a line at most.
      const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
      if (!json.is_object()) continue;
      if (json.contains("sums")) {
        sums = json["sums"];
      } else {
        out << separator << line;
        separator = ",\n";
      }
    }
    add_sums(sums, own, table);
  }
  out << "\n]}\n";
  out.close();
  if (!out) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot write ({})", trace.string(), std::strerror(errno)));
  }
  return text_of(table);
}

}  // namespace prs::profile
