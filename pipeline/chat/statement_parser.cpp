#include "pipeline/chat/statement_parser.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "pipeline/chat/template_functions.hpp"
#include "pipeline/formats/json_text.hpp"

namespace shardquant::chat {

namespace {

constexpr int kMostDepth = 100;                           // of nested blocks
constexpr std::size_t kMostBytes = std::size_t{1} << 28;  // of text that is made
constexpr int kMostCalls = 100;                           // of macros within each other

using Names = std::vector<std::string>;

// One name takes the value; of several each takes an item.
void give_names(Scope& scope, const Names& names, const Value& value) {
  if (names.size() == 1) {
    scope.set(names.front(), value);
    return;
  }
  const List items = items_of(value);
  if (items.size() != names.size()) {
    refuse_template(fmt::format("{} values for {} names", items.size(), names.size()));
  }
  for (std::size_t i = 0; i < names.size(); ++i) scope.set(names[i], items[i]);
}

Value loop_state(const List& items, std::size_t i) {
  const auto index = static_cast<std::int64_t>(i);
  const std::int64_t count = std::ssize(items);
  Map state{{"index", index + 1},
            {"index0", index},
            {"revindex", count - index},
            {"revindex0", count - index - 1},
            {"first", index == 0},
            {"last", index + 1 == count},
            {"length", count}};
  if (i > 0) state.emplace_back("previtem", items[i - 1]);
  if (i + 1 < items.size()) state.emplace_back("nextitem", items[i + 1]);
  return state;
}

struct Loop {
  Names names;
  Expression items;
  Expression filter;  // may be empty
  Statement body;
  Statement otherwise;  // may be empty

  Flow run(Scope& scope, std::string& out) const {
    List taken;
    for (const Value& item : items_of(items(scope))) {
      Scope inner(&scope);
      give_names(inner, names, item);
      if (!filter || filter(inner).truth()) taken.push_back(item);
    }
    for (std::size_t i = 0; i < taken.size(); ++i) {
      Scope inner(&scope);
      inner.step();
      inner.set("loop", loop_state(taken, i));
      give_names(inner, names, taken[i]);
      if (body(inner, out) == Flow::leaves_loop) break;
    }
    if (taken.empty() && otherwise) return otherwise(scope, out);
    return Flow::normal;
  }
};

struct Macro {
  Names names;
  std::vector<Expression> fallbacks;  // an empty one: the name stays undefined
  Statement body;

  Value call(Scope& outermost, const Arguments& given, int& calls) const {
    if (++calls > kMostCalls) refuse_template("macros call each other too deep");
    Scope scope(&outermost);
    for (std::size_t i = 0; i < names.size(); ++i) {
      Value value = given.get(i, names[i]);
      if (value.is_undefined() && fallbacks[i]) value = fallbacks[i](scope);
      scope.set(names[i], std::move(value));
    }
    std::string text;
    body(scope, text);
    --calls;
    return text;
  }
};

class StatementParser {
 public:
  StatementParser(const std::vector<Token>& tokens, const std::string& name)
      : parser_(tokens, name) {}

  Statement whole() {
    Statement all = block({});
    if (!parser_.is(Token::Kind::end)) parser_.refuse("a statement that ends nothing");
    return all;
  }

 private:
  // Statements up to one of the words, which is the next token then.
  Statement block(std::initializer_list<std::string_view> ends) {
    if (++depth_ > kMostDepth) parser_.refuse("blocks nested too deep");
    std::vector<Statement> parts;
    while (!parser_.is(Token::Kind::end)) {
      const Token token = parser_.peek();
      parser_.advance();
      if (token.kind == Token::Kind::text) {
        parts.push_back([text = token.text](Scope&, std::string& out) {
          out += text;
          return Flow::normal;
        });
      } else if (token.kind == Token::Kind::print_begin) {
        parts.push_back(print());
      } else {
        const std::string word = parser_.peek().text;
        if (std::find(ends.begin(), ends.end(), word) != ends.end()) break;
        parser_.advance();
        parts.push_back(statement(word));
      }
    }
    if (ends.size() > 0 && parser_.is(Token::Kind::end)) {
      parser_.refuse(fmt::format("{} is missing", *(ends.end() - 1)));
    }
    --depth_;
    return [parts](Scope& scope, std::string& out) {
      for (const Statement& part : parts) {
        const Flow flow = part(scope, out);
        if (flow != Flow::normal) return flow;
      }
      return Flow::normal;
    };
  }

  void end_statement() { parser_.take(Token::Kind::statement_end, "the end of the statement"); }

  // The statement `word`, of a block that was read.
  void end_block(std::string_view word) {
    parser_.expect(word);
    if (parser_.is(Token::Kind::name)) parser_.advance();  // endmacro NAME
    end_statement();
  }

  Statement print() {
    Expression value = parser_.expression();
    parser_.take(Token::Kind::print_end, "}}");
    return [value](Scope& scope, std::string& out) {
      scope.step();
      out += value(scope).str();
      if (out.size() > kMostBytes) refuse_template("a text too long");
      return Flow::normal;
    };
  }

  Statement statement(const std::string& word) {
    if (word == "set") return set();
    if (word == "if") return condition();
    if (word == "for") return loop();
    if (word == "macro") return macro();
    if (word == "break" || word == "continue") {
      end_statement();
      const Flow flow = word == "break" ? Flow::leaves_loop : Flow::next_turn;
      return [flow](Scope&, std::string&) { return flow; };
    }
    if (word == "generation") {
      end_statement();
      Statement body = block({"endgeneration"});
      end_block("endgeneration");
      return body;
    }
    parser_.refuse(fmt::format("the statement {} is not supported", formats::json_quote(word)));
  }

  Names names() {
    Names names;
    const bool has_brackets = parser_.skip("(");
    do {
      names.push_back(parser_.take(Token::Kind::name, "a name").text);
    } while (parser_.skip(","));
    if (has_brackets) parser_.expect(")");
    return names;
  }

  Statement set() {
    const Names targets = names();
    std::string member;
    if (targets.size() == 1 && parser_.skip(".")) {
      member = parser_.take(Token::Kind::name, "a name").text;
    }
    const auto store = [targets, member](Scope& scope, const Value& value) {
      if (member.empty()) {
        give_names(scope, targets, value);
        return;
      }
      const Value target = scope.find(targets.front());
      if (target.map() == nullptr) refuse_template(targets.front() + " is no namespace");
      put(*target.map(), member, value);
    };
    if (parser_.skip("=")) {
      Expression value = parser_.expression();
      if (parser_.is(Token::Kind::symbol, ",")) parser_.refuse("a list wants brackets here");
      end_statement();
      return [store, value](Scope& scope, std::string&) {
        scope.step();
        store(scope, value(scope));
        return Flow::normal;
      };
    }
    end_statement();
    Statement body = block({"endset"});
    end_block("endset");
    return [store, body](Scope& scope, std::string&) {
      std::string text;
      body(scope, text);
      store(scope, text);
      return Flow::normal;
    };
  }

  Statement condition() {
    std::vector<std::pair<Expression, Statement>> branches;
    Statement otherwise;
    do {
      Expression test = parser_.expression();
      end_statement();
      branches.emplace_back(std::move(test), block({"elif", "else", "endif"}));
    } while (parser_.skip("elif"));
    if (parser_.skip("else")) {
      end_statement();
      otherwise = block({"endif"});
    }
    end_block("endif");
    return [branches, otherwise](Scope& scope, std::string& out) {
      for (const auto& [test, body] : branches) {
        if (test(scope).truth()) return body(scope, out);
      }
      return otherwise ? otherwise(scope, out) : Flow::normal;
    };
  }

  Statement loop() {
    auto made = std::make_shared<Loop>();
    made->names = names();
    parser_.expect("in");
    made->items = parser_.loop_items();
    if (parser_.skip("if")) made->filter = parser_.expression();
    if (parser_.skip("recursive")) parser_.refuse("recursive loops are not supported");
    end_statement();
    made->body = block({"else", "endfor"});
    if (parser_.skip("else")) {
      end_statement();
      made->otherwise = block({"endfor"});
    }
    end_block("endfor");
    return [made](Scope& scope, std::string& out) { return made->run(scope, out); };
  }

  Statement macro() {
    auto made = std::make_shared<Macro>();
    const std::string name = parser_.take(Token::Kind::name, "a name").text;
    parser_.expect("(");
    while (!parser_.skip(")")) {
      made->names.push_back(parser_.take(Token::Kind::name, "a name").text);
      made->fallbacks.push_back(parser_.skip("=") ? parser_.expression() : Expression());
      if (!parser_.skip(",") && !parser_.is(Token::Kind::symbol, ")")) {
        parser_.refuse("a malformed list of names");
      }
    }
    end_statement();
    made->body = block({"endmacro"});
    end_block("endmacro");
    return [made, name](Scope& scope, std::string&) {
      auto calls = std::make_shared<int>(0);
      Scope& outermost = scope.outermost();
      scope.set(name, Function([made, calls, &outermost](const Arguments& given) {
                  return made->call(outermost, given, *calls);
                }));
      return Flow::normal;
    };
  }

  ExpressionParser parser_;
  int depth_ = 0;
};

}  // namespace

Statement parse_template(const std::vector<Token>& tokens, const std::string& name) {
  return StatementParser(tokens, name).whole();
}

}  // namespace shardquant::chat
