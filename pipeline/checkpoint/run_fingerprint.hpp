#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace shardquant::checkpoint {

/// What a run's state depends on: named fields in a fixed order, such as the hash of the model's
/// headers, the calibration settings, the version of the option table. State of one run is used by
/// another only when all fields are equal. Plain value.
class RunFingerprint {
 public:
  /// A field where two fingerprints differ; a field that one lacks has "(absent)" there.
  struct Difference {
    std::string field, ours, theirs;
  };

  /// Appends a field. Names: letters, digits, '.', '_', '-'; 100 at most; each once. Values: any
  /// text. @throws Failure(internal) for a wrong or repeated name
  void add(std::string name, std::string value);

  /// All fields, in the order they were added.
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }
  /// The fields whose names begin with one of these, in the same order.
  RunFingerprint part(const std::vector<std::string_view>& beginnings) const;
  /// The value of a field; empty where there is none.
  std::string value(std::string_view name) const;

  /// One line "name = value" per field between a first line with the format version and a last
  /// line with the hash; control characters and backslashes in values escaped.
  std::string text() const;
  /// XXH3-128 of the fields' lines, 32 hex digits.
  std::string hex() const;

  /// The fields where `theirs` differs, in this one's order, then those only `theirs` has.
  std::vector<Difference> differences(const RunFingerprint& theirs) const;

  /// Reads what text() wrote; `file` names the source. @throws Failure(bad_data) for anything else,
  /// naming the line
  static RunFingerprint parse(std::string_view text, const std::string& file);

  friend bool operator==(const RunFingerprint&, const RunFingerprint&) = default;

 private:
  std::string field_lines() const;

  std::vector<std::pair<std::string, std::string>> fields_;
};

/// Stores the fingerprint under `path`: temporary name, fsync, rename, fsync of the folder.
/// @throws Failure: cannot_create, no_permission, io_error
void store_fingerprint(const std::filesystem::path& path, const RunFingerprint& fingerprint);

/// Reads a stored fingerprint. @throws Failure: no_input, no_permission, io_error, bad_data
RunFingerprint load_fingerprint(const std::filesystem::path& path);

/// Ends a run whose fingerprint is not that of a folder. path: of the folder's; accepted_field: may
/// differ; empty for none. @throws Failure(bad_data) naming every field that differs and the remedy
void require_match(const std::filesystem::path& path, const RunFingerprint& ours,
                   const RunFingerprint& theirs, std::string_view accepted_field = {});

/// What a work folder was found to be.
struct FolderMatch {
  RunFingerprint in_force;          ///< what the folder's state carries from now on
  bool is_new = false;              ///< no fingerprint was there, or a damaged one
  std::filesystem::path set_aside;  ///< where a damaged one is now, else empty
};

/// Ties a work folder to a run: stores the fingerprint where `path` is missing or damaged (then it
/// is renamed; every state file carries its run as well), compares it where it is there.
/// accepted_field: may differ, and then the stored fingerprint stays in force; empty for none.
/// @throws Failure(bad_data) naming every field that differs and what to do; as store_fingerprint
/// and load_fingerprint
FolderMatch match_or_store_fingerprint(const std::filesystem::path& path,
                                       const RunFingerprint& fingerprint,
                                       std::string_view accepted_field = {});

}  // namespace shardquant::checkpoint
