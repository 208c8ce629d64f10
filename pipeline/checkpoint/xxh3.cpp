#include "pipeline/checkpoint/xxh3.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

// Without this the header needs the library at link time.
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace shardquant::checkpoint {

struct Xxh3::State {
  XXH3_state_t hash;
  Width width;
};

Xxh3::Xxh3(Width width) : state_(std::make_unique<State>()) {
  state_->width = width;
  XXH3_INITSTATE(&state_->hash);
  if (width == Width::bits_64) {
    XXH3_64bits_reset(&state_->hash);
  } else {
    XXH3_128bits_reset(&state_->hash);
  }
}

Xxh3::~Xxh3() = default;
Xxh3::Xxh3(Xxh3&&) noexcept = default;
Xxh3& Xxh3::operator=(Xxh3&&) noexcept = default;

void Xxh3::update(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (state_->width == Width::bits_64) {
    XXH3_64bits_update(&state_->hash, bytes.data(), bytes.size());
  } else {
    XXH3_128bits_update(&state_->hash, bytes.data(), bytes.size());
  }
}

std::uint64_t Xxh3::digest_64() const {
  return XXH3_64bits_digest(&state_->hash);
}

std::array<std::uint8_t, 16> Xxh3::digest_128() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->hash));
  std::array<std::uint8_t, 16> out{};
  std::copy(std::begin(canonical.digest), std::end(canonical.digest), out.begin());
  return out;
}

std::string Xxh3::hex_128() const {
  return fmt::format("{:02x}", fmt::join(digest_128(), ""));
}

std::string xxh3_128_hex(std::string_view text) {
  Xxh3 hash(Xxh3::Width::bits_128);
  hash.update(std::as_bytes(std::span(text)));
  return hash.hex_128();
}

}  // namespace shardquant::checkpoint
