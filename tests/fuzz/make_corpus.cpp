// make_corpus FOLDER: writes tiny valid files of every format, FOLDER/<fuzzer>/<file>.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "sample_files.hpp"
#include "support/sample_models.hpp"

namespace {

using Files = std::vector<std::pair<std::string, prs::test::Bytes>>;

bool write_files(const std::filesystem::path& folder, const Files& files) {
  std::filesystem::create_directories(folder);
  for (const auto& [name, bytes] : files) {
    std::ofstream file(folder / name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) return false;
  }
  return true;
}

/// Step files of every kind, and with settings behind a zero byte (here |).
Files step_files() {
  const std::pair<const char*, std::string> texts[] = {
      {"flat.yml",
       "model: /bin/true\ninputs: [/tmp]\noutput: out\nmini_batch_size: rows:10\n"
       "environment_variables: {A: b}\nside_inputs: {names: /etc/passwd}\n"},
      {"v1.yml",
       "entry_script: score.so\nsource_directory: /tmp\nerror_threshold: 5\n"
       "arguments: [--task_over, 20, '--resume_from=x', -- , '${{side_inputs.names}}']\n"
       "run_max_try: 3\nallowed_failed_percent: 1.5\n"},
      {"v2.yml",
       "$schema: x\ntype: parallel\ninputs: {data: {type: uri_folder, path: /tmp}}\n"
       "outputs: {rows: {type: uri_file, path: out/rows.txt}}\n"
       "input_data: ${{inputs.data}}\nretry_settings: {max_retries: 2, timeout: 60}\n"
       "task: {type: run_function, code: ., entry_script: m.onnx, append_row_to: "
       "'${{outputs.rows}}', program_arguments: --error_threshold 3 --x 'a b'}\n"},
      {"pipeline.yml",
       "type: pipeline\njobs:\n  one:\n    type: parallel\n    inputs: {d: /tmp}\n"
       "    task: {code: ., entry_script: a.py}\n  two: {type: command}\n"},
      {"aliases.yml", "a: &a [1, 2]\ninputs: [*a, *a]\nmodel: >\n  folded\n  text\n"},
      {"step.json",
       R"({"model": "/bin/true", "inputs": ["/tmp"], "output": "o", "ordered": true})"},
      {"set.yml",
       "output: out\n|model=/bin/true|inputs=/tmp|mini_batch_size=1 mb|"
       "model_options.scale=0.5|retry_settings.max_retries=1|"},
  };
  Files files;
  for (auto [name, text] : texts) {
    std::replace(text.begin(), text.end(), '|', '\0');
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    files.emplace_back(name, prs::test::Bytes(data, data + text.size()));
  }
  return files;
}

Files model_files() {
  Files files;
  const auto add = [&](const std::string& prefix, const auto& models) {
    for (const auto& [name, bytes] : models) {
      const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
      files.emplace_back(prefix + name + ".onnx", prs::test::Bytes(data, data + bytes.size()));
    }
  };
  add("", prs::test::sample_models());
  add("refused_", prs::test::refused_models());
  return files;
}

/// The first two bytes are sizes: of pieces, and of what the scanner is fed.
Files tables() {
  const auto bytes = [](const std::string& text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return prs::test::Bytes(data, data + text.size());
  };
  return {{"quotes", bytes("\x08\x05"
                           "a,b\n\"x,\n\"\"y\"\"\",2\n\"\",\"z\"q\n")},
          {"blanks", bytes("\x01\x40"
                           "a\r\n\r\n  \t\r1\n,,\n\"a\"\"\"\n")}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_corpus FOLDER\n";
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  const bool written = write_files(folder / "image_fuzz", prs::test::sample_images()) &&
                       write_files(folder / "record_file_fuzz", prs::test::sample_record_files()) &&
                       write_files(folder / "table_fuzz", tables()) &&
                       write_files(folder / "onnx_fuzz", model_files()) &&
                       write_files(folder / "step_fuzz", step_files());
  if (!written) std::cerr << folder << ": cannot write the corpus\n";
  return written ? 0 : 1;
}
