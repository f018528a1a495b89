// The parsers of IDX, gzip and NPY over arbitrary bytes: records or prs::Error, nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "image/records.hpp"
#include "prs/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto bytes = std::as_bytes(std::span(data, size));
    const prs::image::Records records = prs::image::parse_records(bytes, "fuzz");
    // Every byte that the view promises must be readable.
    const auto* at = records.all.as<std::uint8_t>();
    volatile std::uint8_t sink = 0;
    for (std::int64_t i = 0; i < records.all.bytes(); ++i) sink = sink ^ at[i];
  } catch (const prs::Error& error) {
    if (error.code() != prs::ErrorCode::kInvalidArgument) std::abort();
  }
  return 0;
}
