// How the images of one run are shared out among threads.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace prs {

inline std::int64_t floor_power_of_two(std::int64_t value) {
  return static_cast<std::int64_t>(
      std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(value, 1))));
}

/// Images that one thread computes at once.
struct Piece {
  std::int64_t first;
  std::int64_t count;
  std::int64_t batch;  ///< Of the executable: count, or more with images that nobody asked for.
};

/// How the images of one run are cut into pieces: equal ones, then what is left, cut into powers of
/// two, so that few executables serve all batch sizes.
class Cut {
 public:
  /// Pieces of at most `chunk` images for `threads`, but none of fewer than `least` to occupy them.
  /// Whole blocks stay together, and a part of one that fills more than half of it counts as whole.
  /// chunk and block are powers of two, block <= chunk.
  static Cut open(std::int64_t count, std::int64_t chunk, std::int64_t block, std::int64_t least,
                  int threads) {
    const std::int64_t part = count % block;
    const bool fills_up = 2 * part > block;
    const std::int64_t in_blocks = count - part + (fills_up ? block : 0);
    const std::int64_t loose = fills_up ? 0 : part;
    const std::int64_t bulk = in_blocks > 0 ? in_blocks : loose;
    const std::int64_t unit = in_blocks > 0 ? block : 1;
    const std::int64_t share = (bulk + unit * threads - 1) / (unit * threads) * unit;
    const std::int64_t wanted = std::max(share, std::min(least, bulk));
    const std::int64_t size = std::min(chunk, floor_power_of_two(wanted));
    return {count, size, bulk / size, bulk % size + (in_blocks > 0 ? loose : 0)};
  }
  /// Pieces of `batch` images.
  static Cut fixed(std::int64_t count, std::int64_t batch) {
    return {count, batch, (count + batch - 1) / batch, 0};
  }

  std::int64_t pieces() const { return equal_ + std::popcount(static_cast<std::uint64_t>(rest_)); }

  Piece operator[](std::int64_t piece) const {
    std::int64_t first = std::min(piece, equal_) * size_;
    std::int64_t batch = size_;
    if (piece >= equal_) {
      // The k-th set bit of what is left, largest first.
      std::int64_t left = rest_;
      for (std::int64_t k = piece - equal_; k > 0; --k) {
        first += floor_power_of_two(left);
        left -= floor_power_of_two(left);
      }
      batch = floor_power_of_two(left);
    }
    return {first, std::min(batch, count_ - first), batch};
  }

 private:
  Cut(std::int64_t count, std::int64_t size, std::int64_t equal, std::int64_t rest)
      : count_(count), size_(size), equal_(equal), rest_(rest) {}

  std::int64_t count_;
  std::int64_t size_;
  std::int64_t equal_;
  std::int64_t rest_;
};

}  // namespace prs
