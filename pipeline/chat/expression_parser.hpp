#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/chat/scope.hpp"
#include "pipeline/chat/template_lexer.hpp"

namespace shardquant::chat {

/// An expression of a template, ready to be evaluated.
using Expression = std::function<Value(Scope&)>;

/// Reads expressions from a list of tokens, which it walks along: operators, filters, tests, calls,
/// indices and slices of Jinja 2. Nothing is evaluated here.
class ExpressionParser {
 public:
  ExpressionParser(const std::vector<Token>& tokens, const std::string& name)
      : tokens_(tokens), name_(name) {}

  const Token& peek() const { return tokens_[at_]; }
  bool is(Token::Kind kind, std::string_view text = {}) const {
    return peek().kind == kind && (text.empty() || peek().text == text);
  }
  /// Whether the next token is this symbol or word; then it is gone.
  bool skip(std::string_view text);
  Token take(Token::Kind kind, std::string_view what);
  void expect(std::string_view text);
  void advance() { ++at_; }
  [[noreturn]] void refuse(const std::string& reason) const;

  /// @throws Failure(bad_data) naming the template and the line, also from what is evaluated
  Expression expression();
  /// One without `if` behind it, as of a loop; several with commas between are a list.
  Expression loop_items();
  /// Of a call: what stands between the brackets, the first of which is gone.
  struct Call {
    std::vector<Expression> values;
    std::vector<std::pair<std::string, Expression>> named;
    Arguments evaluate(Scope& scope) const;
  };
  Call call_arguments();

 private:
  Expression disjunction();
  Expression conjunction();
  Expression negation();
  Expression comparison();
  Expression binary(int level);
  Expression unary(bool takes_filters);
  Expression postfix(Expression value);
  Expression called(Expression value);
  Expression dotted(Expression value);
  Expression index(Expression value);
  Expression filtered(Expression value);
  Expression tested(Expression value);
  Expression primary();
  Expression bracketed();
  Expression map_literal();
  /// `work` with this line in the message of what it throws.
  Expression placed(Expression work) const;

  const std::vector<Token>& tokens_;
  const std::string& name_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace shardquant::chat
