#pragma once

#include <cstdint>
#include <string>

#include "pipeline/chat/value.hpp"

namespace shardquant::chat {

/// Names that a part of a template sees: its own and those of the parts around it.
class Scope {
 public:
  explicit Scope(Scope* around = nullptr) : around_(around) {}

  Value find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->around_) {
      for (const auto& [known, value] : scope->names_) {
        if (known == name) return value;
      }
    }
    return Undefined{name};
  }
  void set(const std::string& name, Value value) { put(names_, name, std::move(value)); }
  Scope& outermost() { return around_ == nullptr ? *this : around_->outermost(); }

  /// Counts a step of the outermost scope. @throws Failure(bad_data) beyond what a sane template
  /// takes
  void step();

 private:
  Scope* around_;
  Map names_;
  std::int64_t steps_ = 0;
};

}  // namespace shardquant::chat
