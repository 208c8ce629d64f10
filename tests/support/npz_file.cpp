#include "tests/support/npz_file.hpp"

#include <zlib.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace shardquant::tests {

namespace {

template <class T>
T read_at(const std::vector<std::uint8_t>& file, std::size_t offset) {
  if (offset + sizeof(T) > file.size()) throw std::runtime_error("npz: truncated");
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

std::vector<std::uint8_t> inflate_raw(const std::uint8_t* data, std::size_t packed,
                                      std::size_t unpacked) {
  std::vector<std::uint8_t> out(unpacked);
  z_stream stream{};
  inflateInit2(&stream, -MAX_WBITS);
  stream.next_in = const_cast<Bytef*>(data);
  stream.avail_in = static_cast<uInt>(packed);
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(unpacked);
  const int status = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("npz: cannot inflate");
  return out;
}

}  // namespace

NpzFile::NpzFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("npz: cannot open " + path);
  file_.assign(std::istreambuf_iterator<char>(in), {});
  std::size_t end = file_.size() - 22;  // end of central directory, no comment
  while (read_at<std::uint32_t>(file_, end) != 0x06054b50u) --end;
  std::size_t at = read_at<std::uint32_t>(file_, end + 16);
  const int count = read_at<std::uint16_t>(file_, end + 10);
  for (int i = 0; i < count; ++i) {
    const std::size_t name_size = read_at<std::uint16_t>(file_, at + 28);
    std::string name(reinterpret_cast<const char*>(&file_[at + 46]), name_size);
    entries_[name] = {
        read_at<std::uint16_t>(file_, at + 10), read_at<std::uint32_t>(file_, at + 20),
        read_at<std::uint32_t>(file_, at + 24), read_at<std::uint32_t>(file_, at + 42)};
    at += 46 + name_size + read_at<std::uint16_t>(file_, at + 30) +
          read_at<std::uint16_t>(file_, at + 32);
  }
}

NpyArray NpzFile::read(const std::string& name) const {
  const auto found = entries_.find(name + ".npy");
  if (found == entries_.end()) throw std::runtime_error("npz: no array " + name);
  const Entry& entry = found->second;
  const std::size_t data = entry.offset + 30u + read_at<std::uint16_t>(file_, entry.offset + 26) +
                           read_at<std::uint16_t>(file_, entry.offset + 28);
  std::vector<std::uint8_t> npy(file_.begin() + static_cast<std::ptrdiff_t>(data),
                                file_.begin() + static_cast<std::ptrdiff_t>(data + entry.packed));
  if (entry.method == 8) npy = inflate_raw(file_.data() + data, entry.packed, entry.unpacked);

  const std::size_t header_size = read_at<std::uint16_t>(npy, 8);
  const std::string header(reinterpret_cast<const char*>(&npy[10]), header_size);
  NpyArray array;
  std::smatch match;
  if (!std::regex_search(header, match, std::regex("'descr': '([^']+)'"))) {
    throw std::runtime_error("npz: no dtype in " + name);
  }
  array.dtype = match[1];
  if (!std::regex_search(header, match, std::regex("'shape': \\(([^)]*)\\)"))) {
    throw std::runtime_error("npz: no shape in " + name);
  }
  std::stringstream shape(match[1]);
  for (std::string item; std::getline(shape, item, ',');) {
    if (item.find_first_not_of(' ') != std::string::npos) array.shape.push_back(std::stoll(item));
  }
  array.bytes.assign(npy.begin() + static_cast<std::ptrdiff_t>(10 + header_size), npy.end());
  return array;
}

}  // namespace shardquant::tests
