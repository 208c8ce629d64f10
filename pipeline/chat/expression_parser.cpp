#include "pipeline/chat/expression_parser.hpp"

#include <fmt/format.h>

#include <charconv>

#include "pipeline/chat/template_functions.hpp"
#include "pipeline/failure.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::chat {

namespace {

constexpr int kMostDepth = 100;  // of nested expressions

// A failure that names its place already.
class PlacedFailure : public Failure {
 public:
  using Failure::Failure;
};

bool is_word(const Token& token, std::string_view text) {
  return (token.kind == Token::Kind::name || token.kind == Token::Kind::symbol) &&
         token.text == text;
}

}  // namespace

void ExpressionParser::refuse(const std::string& reason) const {
  throw PlacedFailure(ExitCode::bad_data,
                      fmt::format("{}: line {}: {}", name_, peek().line, reason));
}

Expression ExpressionParser::placed(Expression work) const {
  return [work = std::move(work), &name = name_, line = peek().line](Scope& scope) {
    try {
      scope.step();
      return work(scope);
    } catch (const PlacedFailure&) {
      throw;
    } catch (const Failure& failure) {
      throw PlacedFailure(failure.code(),
                          fmt::format("{}: line {}: {}", name, line, failure.what()));
    }
  };
}

bool ExpressionParser::skip(std::string_view text) {
  if (!is_word(peek(), text)) return false;
  advance();
  return true;
}

Token ExpressionParser::take(Token::Kind kind, std::string_view what) {
  if (peek().kind != kind) refuse(fmt::format("{} is expected", what));
  return tokens_[at_++];
}

void ExpressionParser::expect(std::string_view text) {
  if (!skip(text)) {
    refuse(fmt::format("{} is expected, found {}", text, formats::json_quote(peek().text)));
  }
}

Expression ExpressionParser::expression() {
  if (++depth_ > kMostDepth) refuse("expressions nested too deep");
  Expression value = disjunction();
  while (skip("if")) {
    Expression condition = disjunction();
    Expression otherwise = skip("else") ? expression() : [](Scope&) { return Value(); };
    value = [value = std::move(value), condition = std::move(condition),
             otherwise = std::move(otherwise)](Scope& scope) {
      return condition(scope).truth() ? value(scope) : otherwise(scope);
    };
  }
  --depth_;
  return value;
}

Expression ExpressionParser::loop_items() {
  std::vector<Expression> items{disjunction()};
  bool is_list = false;
  while (skip(",")) {
    is_list = true;
    items.push_back(disjunction());
  }
  if (!is_list) return placed(items.front());
  return [items](Scope& scope) {
    List list;
    for (const Expression& item : items) list.push_back(item(scope));
    return Value(list);
  };
}

Expression ExpressionParser::disjunction() {
  Expression left = conjunction();
  while (skip("or")) {
    left = [left = std::move(left), right = conjunction()](Scope& scope) {
      Value value = left(scope);
      return value.truth() ? value : right(scope);
    };
  }
  return left;
}

Expression ExpressionParser::conjunction() {
  Expression left = negation();
  while (skip("and")) {
    left = [left = std::move(left), right = negation()](Scope& scope) {
      Value value = left(scope);
      return value.truth() ? right(scope) : value;
    };
  }
  return left;
}

Expression ExpressionParser::negation() {
  if (!skip("not")) return comparison();
  if (++depth_ > kMostDepth) refuse("expressions nested too deep");
  Expression value = negation();
  --depth_;
  return [value = std::move(value)](Scope& scope) { return Value(!value(scope).truth()); };
}

// a < b < c is a < b and b < c.
Expression ExpressionParser::comparison() {
  Expression first = binary(0);
  std::vector<std::pair<std::string, Expression>> rest;
  while (true) {
    std::string symbol;
    for (const char* known : {"==", "!=", "<=", ">=", "<", ">", "in"}) {
      if (is_word(peek(), known)) symbol = known;
    }
    if (symbol.empty() && is_word(peek(), "not") && is_word(tokens_[at_ + 1], "in")) {
      advance();
      symbol = "not in";
    }
    if (symbol.empty()) break;
    advance();
    rest.emplace_back(symbol, binary(0));
  }
  if (rest.empty()) return first;
  return placed([first, rest](Scope& scope) {
    Value left = first(scope);
    Value result = true;
    for (const auto& [symbol, right] : rest) {
      const Value value = right(scope);
      result = operate(symbol, left, value);
      if (!result.truth()) break;
      left = value;
    }
    return result;
  });
}

// Levels from loose to tight: + -, then ~, then * / // %, then **.
Expression ExpressionParser::binary(int level) {
  static const std::vector<std::vector<std::string_view>> kLevels = {
      {"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
  if (level == static_cast<int>(kLevels.size())) return unary(true);
  Expression left = binary(level + 1);
  while (true) {
    std::string symbol;
    for (const std::string_view known : kLevels[static_cast<std::size_t>(level)]) {
      if (peek().kind == Token::Kind::symbol && peek().text == known) symbol = known;
    }
    if (symbol.empty()) return left;
    advance();
    left = placed([left = std::move(left), symbol, right = binary(level + 1)](Scope& scope) {
      const Value a = left(scope);
      return operate(symbol, a, right(scope));
    });
  }
}

// As Jinja has it, a filter behind -x is of -x, one behind x.y of x.y.
Expression ExpressionParser::unary(bool takes_filters) {
  Expression value;
  if (skip("-")) {
    if (++depth_ > kMostDepth) refuse("expressions nested too deep");
    value = placed([inner = unary(false)](Scope& scope) { return operate("-", 0, inner(scope)); });
    --depth_;
  } else if (skip("+")) {
    value = unary(false);
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  while (takes_filters) {
    if (skip("|")) {
      value = filtered(std::move(value));
    } else if (skip("is")) {
      value = tested(std::move(value));
    } else if (skip("(")) {
      value = called(std::move(value));
    } else {
      break;
    }
  }
  return value;
}

Expression ExpressionParser::postfix(Expression value) {
  while (true) {
    if (skip(".")) {
      value = dotted(std::move(value));
    } else if (skip("[")) {
      value = index(std::move(value));
    } else if (skip("(")) {
      value = called(std::move(value));
    } else {
      return value;
    }
  }
}

Expression ExpressionParser::called(Expression value) {
  return placed([value = std::move(value), call = call_arguments()](Scope& scope) {
    const Value callee = value(scope);
    if (callee.function() == nullptr) {
      refuse_template(fmt::format("{} cannot be called", callee.type_name()));
    }
    return (*callee.function())(call.evaluate(scope));
  });
}

Expression ExpressionParser::dotted(Expression value) {
  const std::string name = take(Token::Kind::name, "a name").text;
  if (!skip("(")) {
    return placed(
        [value = std::move(value), name](Scope& scope) { return item_of(value(scope), name); });
  }
  return placed([value = std::move(value), name, call = call_arguments()](Scope& scope) {
    const Value target = value(scope);
    return call_method(target, name, call.evaluate(scope));
  });
}

Expression ExpressionParser::index(Expression value) {
  const Expression none = [](Scope&) { return Value(nullptr); };
  std::vector<Expression> parts;
  bool is_slice = false;
  while (!skip("]")) {
    Expression part =
        is(Token::Kind::symbol, ":") || is(Token::Kind::symbol, "]") ? none : expression();
    parts.push_back(std::move(part));
    if (skip(":")) {
      is_slice = true;
      if (is(Token::Kind::symbol, "]")) parts.push_back(none);
    }
    if (parts.size() > 3) refuse("a malformed index");
  }
  if (!is_slice && parts.size() != 1) refuse("a malformed index");
  parts.resize(is_slice ? 3 : 1, none);
  return placed([value = std::move(value), parts, is_slice](Scope& scope) {
    const Value target = value(scope);
    if (!is_slice) return item_of(target, parts[0](scope));
    return slice_of(target, parts[0](scope), parts[1](scope), parts[2](scope));
  });
}

Expression ExpressionParser::filtered(Expression value) {
  const std::string name = take(Token::Kind::name, "a filter").text;
  const Function filter = find_filter(name);
  if (!filter) refuse(fmt::format("the filter {} is not supported", name));
  const Call call = skip("(") ? call_arguments() : Call{};
  return placed([value = std::move(value), filter, call](Scope& scope) {
    Value target = value(scope);
    Arguments given = call.evaluate(scope);
    given.values.insert(given.values.begin(), std::move(target));
    return filter(given);
  });
}

Expression ExpressionParser::tested(Expression value) {
  const bool is_negated = skip("not");
  if (peek().kind != Token::Kind::name) refuse("a test is expected");
  const std::string name = peek().text;
  advance();
  const Function test = find_test(name);
  if (!test) refuse(fmt::format("the test {} is not supported", name));
  Call call;
  const bool wants_value = name == "in" || name == "sameas" || name == "divisibleby" ||
                           name == "eq" || name == "equalto" || name == "ne";
  if (skip("(")) {
    call = call_arguments();
  } else if (wants_value) {
    call.values.push_back(postfix(primary()));
  }
  return placed([value = std::move(value), test, call, is_negated](Scope& scope) {
    Value target = value(scope);
    Arguments given = call.evaluate(scope);
    given.values.insert(given.values.begin(), std::move(target));
    return Value(test(given).truth() != is_negated);
  });
}

ExpressionParser::Call ExpressionParser::call_arguments() {
  Call call;
  while (!skip(")")) {
    const Token& next = tokens_[at_ + 1];
    if (is(Token::Kind::name) && next.kind == Token::Kind::symbol && next.text == "=") {
      const std::string name = peek().text;
      at_ += 2;
      call.named.emplace_back(name, expression());
    } else {
      call.values.push_back(expression());
    }
    if (!skip(",") && !is(Token::Kind::symbol, ")")) refuse("a malformed call");
  }
  return call;
}

Arguments ExpressionParser::Call::evaluate(Scope& scope) const {
  Arguments given;
  for (const Expression& value : values) given.values.push_back(value(scope));
  for (const auto& [name, value] : named) given.named.emplace_back(name, value(scope));
  return given;
}

Expression ExpressionParser::primary() {
  const Token token = peek();
  if (token.kind == Token::Kind::string) {
    std::string text;
    while (is(Token::Kind::string)) text += take(Token::Kind::string, "").text;
    return [text](Scope&) { return Value(text); };
  }
  if (token.kind == Token::Kind::symbol) {
    advance();
    if (token.text == "(" || token.text == "[") {
      --at_;
      return bracketed();
    }
    if (token.text == "{") return map_literal();
    refuse(fmt::format("{} is not expected", formats::json_quote(token.text)));
  }
  if (token.kind == Token::Kind::integer || token.kind == Token::Kind::real) {
    advance();
    const char* begin = token.text.data();
    const char* end = begin + token.text.size();
    std::int64_t whole = 0;
    double real = 0.0;
    if (token.kind == Token::Kind::real) {
      std::from_chars(begin, end, real);
      return [real](Scope&) { return Value(real); };
    }
    if (std::from_chars(begin, end, whole).ec != std::errc()) refuse("a number beyond 64 bits");
    return [whole](Scope&) { return Value(whole); };
  }
  const std::string name = take(Token::Kind::name, "a value").text;
  if (name == "true" || name == "True") return [](Scope&) { return Value(true); };
  if (name == "false" || name == "False") return [](Scope&) { return Value(false); };
  if (name == "none" || name == "None") return [](Scope&) { return Value(nullptr); };
  return [name](Scope& scope) { return scope.find(name); };
}

// ( ) around an expression or a tuple, [ ] around a list; a tuple is a list here.
Expression ExpressionParser::bracketed() {
  const bool is_list = skip("[");
  if (!is_list) expect("(");
  const std::string_view end = is_list ? "]" : ")";
  std::vector<Expression> items;
  bool has_comma = false;
  while (!skip(end)) {
    items.push_back(expression());
    const bool is_comma = skip(",");
    has_comma = has_comma || is_comma;
    if (!is_comma && !is(Token::Kind::symbol, end)) refuse("a malformed list");
  }
  if (!is_list && !has_comma && items.size() == 1) return items.front();
  return [items](Scope& scope) {
    List list;
    for (const Expression& item : items) list.push_back(item(scope));
    return Value(list);
  };
}

Expression ExpressionParser::map_literal() {
  std::vector<std::pair<Expression, Expression>> members;
  while (!skip("}")) {
    Expression name = expression();
    expect(":");
    members.emplace_back(std::move(name), expression());
    if (!skip(",") && !is(Token::Kind::symbol, "}")) refuse("a malformed map");
  }
  return placed([members](Scope& scope) {
    Map map;
    for (const auto& [name, value] : members) {
      const Value key = name(scope);
      if (key.text() == nullptr) refuse_template("names of a map are text here");
      put(map, *key.text(), value(scope));
    }
    return Value(map);
  });
}

}  // namespace shardquant::chat
