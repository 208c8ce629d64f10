#include "pipeline/chat/scope.hpp"

#include "pipeline/chat/template_functions.hpp"

namespace shardquant::chat {

void Scope::step() {
  constexpr std::int64_t kMostSteps = 50'000'000;
  if (++outermost().steps_ > kMostSteps) refuse_template("it goes on for ever");
}

}  // namespace shardquant::chat
