#include "pipeline/output/output_checksums.hpp"

#include <algorithm>

#include "pipeline/checkpoint/xxh3.hpp"
#include "pipeline/comm/assign_work.hpp"
#include "pipeline/failure.hpp"

namespace shardquant::output {

namespace {

using checkpoint::Xxh3;

constexpr std::size_t kHashDigits = 32;
constexpr std::string_view kGap = "  ";
constexpr std::int64_t kMostBytes = std::int64_t{1} << 26;

std::string hash_of(const formats::FileHandle& file) {
  constexpr std::int64_t kPiece = std::int64_t{8} << 20;
  const std::int64_t bytes = file.size();
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(kPiece, bytes)));
  Xxh3 hash(Xxh3::Width::bits_128);
  for (std::int64_t at = 0; at < bytes; at += kPiece) {
    const auto part =
        std::span(piece).first(static_cast<std::size_t>(std::min(kPiece, bytes - at)));
    file.read_exact(at, part);
    hash.update(part);
  }
  return hash.hex_128();
}

// By name; those of this rank's share, the others are empty.
std::vector<std::string> own_hashes(const waves::RunContext& context,
                                    const std::vector<std::string>& names) {
  std::vector<formats::FileHandle> files;
  std::vector<double> bytes;
  for (const std::string& name : names) {
    files.push_back(formats::FileHandle::open_for_reading(context.config.output.dir / name));
    bytes.push_back(static_cast<double>(files.back().size()));
  }
  std::vector<double> load(static_cast<std::size_t>(context.comm.size()));
  const std::vector<int> owners = comm::assign_work(bytes, load);
  std::vector<std::string> hashes(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (owners[i] == context.comm.rank()) hashes[i] = hash_of(files[i]);
  }
  return hashes;
}

}  // namespace

void write_checksums(const waves::RunContext& context, const std::vector<std::string>& names,
                     formats::Overwrite overwrite) {
  std::string text;
  comm::on_all(context.comm, [&] {
    const std::vector<std::string> hashes = own_hashes(context, names);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!hashes[i].empty()) text += hashes[i] + std::string(kGap) + names[i] + '\n';
    }
  });
  const auto parts = context.comm.gather(std::as_bytes(std::span(text)));
  comm::on_root(context.comm, [&] {
    std::vector<std::string> lines;
    for (const std::vector<std::byte>& part : parts) {
      const std::string_view all(reinterpret_cast<const char*>(part.data()), part.size());
      for (std::size_t at = 0; at < all.size();) {
        const std::size_t end = all.find('\n', at) + 1;
        lines.emplace_back(all.substr(at, end - at));
        at = end;
      }
    }
    // By name, so that the bytes do not depend on who hashed what.
    std::sort(lines.begin(), lines.end(), [](const std::string& a, const std::string& b) {
      return a.substr(kHashDigits) < b.substr(kHashDigits);
    });
    std::string file;
    for (const std::string& line : lines) file += line;
    formats::write_file(context.config.output.dir / kChecksumsName, file, overwrite);
  });
}

std::int64_t checksums_bytes(const std::vector<std::string>& names) {
  std::int64_t bytes = 0;
  for (const std::string& name : names) {
    bytes += static_cast<std::int64_t>(kHashDigits + kGap.size() + name.size() + 1);
  }
  return bytes;
}

std::optional<std::int64_t> check_checksums(const formats::ModelDirectory& folder) {
  if (!folder.contains(kChecksumsName)) return std::nullopt;
  const formats::FileHandle list = folder.open(kChecksumsName);
  if (list.size() > kMostBytes) {
    fail(ExitCode::bad_data, "{}: {} bytes are too many", list.name(), list.size());
  }
  std::string text(static_cast<std::size_t>(list.size()), '\0');
  list.read_exact(0, std::as_writable_bytes(std::span(text)));
  std::int64_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.size() <= kHashDigits + kGap.size() || line.substr(kHashDigits, kGap.size()) != kGap) {
      fail(ExitCode::bad_data, "{}: line {} is no checksum", list.name(), count + 1);
    }
    const formats::FileHandle file = folder.open(line.substr(kHashDigits + kGap.size()));
    if (hash_of(file) != line.substr(0, kHashDigits)) {
      fail(ExitCode::bad_data,
           "{}: its bytes are not those that were written ({}); copy it again from where they are, "
           "or make the model again",
           file.name(), kChecksumsName);
    }
  }
  return count;
}

}  // namespace shardquant::output
