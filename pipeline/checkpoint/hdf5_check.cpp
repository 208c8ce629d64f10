#include "pipeline/checkpoint/hdf5_check.hpp"

#include <mutex>

namespace shardquant::checkpoint {

namespace {

constexpr std::size_t kLongestText = 1000;

herr_t append_description(unsigned, const H5E_error2_t* error, void* text) {
  std::string& out = *static_cast<std::string*>(text);
  const std::string_view description = error->desc != nullptr ? error->desc : "";
  if (description.empty() || out.size() > kLongestText) return 0;
  if (!out.empty()) out += " < ";
  out += description;
  return 0;
}

}  // namespace

void prepare_hdf5() {
  static std::once_flag once;
  std::call_once(once, [] {
    H5dont_atexit();
    H5open();
  });
  // A thread-safe HDF5 has one error stack, and one setting of what to print, per thread.
  thread_local const herr_t silenced = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  static_cast<void>(silenced);
}

std::string hdf5_error_text() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, append_description, &text);
  if (text.empty()) return "no reason given by HDF5";
  if (text.size() > kLongestText) text.resize(kLongestText);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace shardquant::checkpoint
