#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace shardquant::formats::detail {

/// Base of the project's JSON handlers: throws Failure(bad_data) "FILE: reason" at the first fault.
class JsonSax : public nlohmann::json_sax<nlohmann::json> {
 public:
  JsonSax(std::string file, int max_depth) : file_(std::move(file)), depth_left_(max_depth) {}

  bool binary(nlohmann::json::binary_t&) final { return false; }
  bool parse_error(std::size_t position, const std::string& last_token,
                   const nlohmann::json::exception& error) final;

  const std::string& file() const { return file_; }

 protected:
  /// To be called at each start and end of an array or object.
  void enter();
  void leave() { ++depth_left_; }

 private:
  std::string file_;
  int depth_left_;
};

/// True where the source text of a number has neither fraction nor exponent.
inline bool written_as_integer(std::string_view text) {
  return text.find_first_of(".eE") == std::string_view::npos;
}

/// Feeds `text` to the handler, closing what the library leaves open: a byte order mark, which it
/// skips, and a NUL byte, which it takes for the end of the text.
void parse_json(std::string_view text, JsonSax& handler);

}  // namespace shardquant::formats::detail
