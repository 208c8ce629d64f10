#include "pipeline/config/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "pipeline/config/check_encoding.hpp"

namespace shardquant::config {

namespace {

YamlPlace place_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {mark.line + 1, mark.column + 1};
}

// Builds the tree from the parser's events, so that nothing is walked before it is counted.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& text, std::string_view name, const YamlLimits& limits)
      : text_(text), name_(name), limits_(limits) {}

  YamlNode take() { return std::move(root_); }
  // Of what is being read.
  std::string path() const;

  void OnDocumentStart(const YAML::Mark& mark) override;
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override;
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override;
  void OnMapEnd() override { close(); }

 private:
  // A map or sequence under construction, and the key that waits for its value.
  struct Open {
    YamlNode node;
    bool has_key = false;
    std::string key;
    YamlPlace key_place;
  };

  [[noreturn]] void refuse(YamlPlace place, std::string_view reason) const {
    fail_at(name_, place, path(), reason);
  }
  bool expects_key() const {
    return !open_.empty() && open_.back().node.kind == YamlNode::Kind::map && !open_.back().has_key;
  }
  void check_node(YamlPlace place, std::size_t mark_byte, const std::string& tag,
                  YAML::anchor_t anchor);
  void open(YamlNode::Kind kind, YamlPlace place);
  void close();
  void take_key(YamlPlace place, const std::string& key);
  void add(YamlNode node);

  const std::string& text_;
  std::string_view name_;
  YamlLimits limits_;
  int documents_ = 0;
  std::int64_t nodes_ = 0;
  std::vector<Open> open_;
  YamlNode root_;
};

std::string TreeBuilder::path() const {
  std::string path;
  for (const Open& open : open_) {
    if (open.node.kind == YamlNode::Kind::sequence) {
      path += fmt::format("[{}]", open.node.items.size());
    } else if (open.has_key) {
      path = joined_path(path, open.key);
    }
  }
  return path;
}

void TreeBuilder::OnDocumentStart(const YAML::Mark& mark) {
  if (++documents_ > 1) refuse(place_of(mark), "a second document; a job file holds one");
}

void TreeBuilder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const YamlPlace place = place_of(mark);
  check_node(place, text_.size(), "?", anchor);
  if (expects_key()) refuse(place, "a key is missing");
  YamlNode node;
  // Nothing has its mark where the next thing begins, perhaps lines below.
  const bool has_key = !open_.empty() && open_.back().has_key;
  node.place = has_key ? open_.back().key_place : place;
  add(std::move(node));
}

void TreeBuilder::OnAlias(const YAML::Mark& mark, YAML::anchor_t) {
  refuse(place_of(mark), "an alias (*name); write the value out");
}

void TreeBuilder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                           const std::string& value) {
  const YamlPlace place = place_of(mark);
  check_node(place, static_cast<std::size_t>(mark.pos), tag, anchor);
  if (expects_key()) {
    take_key(place, value);
    return;
  }
  YamlNode node;
  node.kind = YamlNode::Kind::scalar;
  node.place = place;
  node.text = value;
  node.quoted = tag == "!";
  add(std::move(node));
}

void TreeBuilder::OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                                  YAML::anchor_t anchor, YAML::EmitterStyle::value) {
  check_node(place_of(mark), static_cast<std::size_t>(mark.pos), tag, anchor);
  open(YamlNode::Kind::sequence, place_of(mark));
}

void TreeBuilder::OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                             YAML::EmitterStyle::value) {
  check_node(place_of(mark), static_cast<std::size_t>(mark.pos), tag, anchor);
  open(YamlNode::Kind::map, place_of(mark));
}

void TreeBuilder::check_node(YamlPlace place, std::size_t mark_byte, const std::string& tag,
                             YAML::anchor_t anchor) {
  if (++nodes_ > limits_.nodes) {
    refuse(place, fmt::format("more than {} keys and values", limits_.nodes));
  }
  if (anchor != YAML::NullAnchor) refuse(place, "an anchor (&name); write the value out");
  // The parser gives quoted scalars the tag "!", which may also stand in the text.
  const bool untagged = tag.empty() || tag == "?" || tag == "!";
  if (!untagged || (mark_byte < text_.size() && text_[mark_byte] == '!')) {
    refuse(place, "a tag (!name); types follow from the setting");
  }
}

void TreeBuilder::open(YamlNode::Kind kind, YamlPlace place) {
  if (expects_key()) refuse(place, "a key must be a plain word");
  if (open_.size() >= static_cast<std::size_t>(limits_.depth)) {
    refuse(place, fmt::format("nested more than {} levels deep", limits_.depth));
  }
  Open opened;
  opened.node.kind = kind;
  opened.node.place = place;
  open_.push_back(std::move(opened));
}

void TreeBuilder::close() {
  YamlNode node = std::move(open_.back().node);
  open_.pop_back();
  add(std::move(node));
}

void TreeBuilder::take_key(YamlPlace place, const std::string& key) {
  if (key == "<<") refuse(place, "a merge key (<<); write the values out");
  Open& map = open_.back();
  for (const YamlEntry& entry : map.node.entries) {
    if (entry.key != key) continue;
    const std::string path_of_key = joined_path(path(), key);
    fail_at(name_, place, path_of_key,
            fmt::format("given twice; the first is in line {}", entry.place.line));
  }
  map.has_key = true;
  map.key = key;
  map.key_place = place;
}

void TreeBuilder::add(YamlNode node) {
  if (open_.empty()) {
    root_ = std::move(node);
    return;
  }
  Open& parent = open_.back();
  if (parent.node.kind == YamlNode::Kind::sequence) {
    parent.node.items.push_back(std::move(node));
    return;
  }
  parent.has_key = false;
  parent.node.entries.push_back({std::move(parent.key), parent.key_place, std::move(node)});
}

}  // namespace

void fail_at(std::string_view name, YamlPlace place, std::string_view path,
             std::string_view reason) {
  std::string shown_path;
  for (const char c : path) shown_path += escaped(c);
  constexpr std::size_t kLongestPath = 200;
  if (shown_path.size() > kLongestPath) shown_path = shown_path.substr(0, kLongestPath) + "...";
  fail(ExitCode::config, "{}:{}:{}: {}: {}", name, place.line, place.column,
       shown_path.empty() ? "document" : shown_path, reason);
}

YamlNode parse_yaml(const std::string& text, std::string_view name, const YamlLimits& limits) {
  if (static_cast<std::int64_t>(text.size()) > limits.bytes) {
    fail_at(name, {}, "", fmt::format("more than {} bytes; a job file is smaller", limits.bytes));
  }
  check_encoding(text, name);
  TreeBuilder builder(text, name, limits);
  std::istringstream stream(text);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) fail_at(name, {}, "", "empty; no settings in it");
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    fail_at(name, place_of(error.mark), builder.path(), error.msg);
  }
  return builder.take();
}

std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string result = "'";
  for (const char c : text.substr(0, kLongest)) result += escaped(c);
  if (text.size() > kLongest) result += "...";
  return result + "'";
}

const YamlEntry* find_entry(const YamlNode& node, std::string_view key) {
  for (const YamlEntry& entry : node.entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

std::string joined_path(std::string_view parent, std::string_view key) {
  return parent.empty() ? std::string(key) : fmt::format("{}.{}", parent, key);
}

}  // namespace shardquant::config
