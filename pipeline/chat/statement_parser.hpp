#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pipeline/chat/expression_parser.hpp"

namespace shardquant::chat {

/// How a statement ends: the loop around it may be left or go on with its next turn.
enum class Flow { normal, leaves_loop, next_turn };

/// A part of a template, ready to be run; text is appended.
using Statement = std::function<Flow(Scope&, std::string&)>;

/// Reads a whole template. Supported are print, set (also of a block), if, for with its filter and
/// else, break, continue, macro and generation. The tokens and the name must outlive what is
/// returned. @throws Failure(bad_data) naming the template, the line and what is not supported
Statement parse_template(const std::vector<Token>& tokens, const std::string& name);

}  // namespace shardquant::chat
