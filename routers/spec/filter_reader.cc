#include "routers/spec/filter_reader.h"

#include <fmt/format.h>

#include <array>

#include "routers/spec/filter_expression.h"
#include "routers/spec/filter_syntax.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxWhy = 200;  // bytes
constexpr const char* kDirections = "\"from-client\" or \"to-client\"";
constexpr const char* kExpressionWanted =
    "an expression of tcpdump's language: \"udp port 123 or ip multicast\"";

Result<FilterDirection> parseDirection(std::string_view text) {
  for (const FilterDirection direction : {FilterDirection::fromClient, FilterDirection::toClient})
    if (text == toString(direction)) return direction;
  return error("'{}' is no direction", text);
}

Result<std::string> parseWhy(std::string_view text) {
  if (text.size() > kMaxWhy) return error("'why' has more than {} bytes", kMaxWhy);
  for (const char c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f)
      return error("'why' holds a control character");
  return std::string(text);
}

// Who has 0.0.0.0? An ARP request (RFC 826) from nobody to everybody.
std::array<std::uint8_t, 42> arpFrame() {
  return {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
}

class FilterReader {
 public:
  FilterReader(const Node& node, std::string title, const Prefix4& lan,
               const FilterCompiler* compiler, Reporter& reporter)
      : node_(node),
        title_(std::move(title)),
        lan_(lan),
        compiler_(compiler),
        reporter_(reporter),
        fields_(node, node.span, title_, KeyList{{"direction", "drop", "pass", "why"}}, reporter) {}

  std::optional<FilterSpec> read() {
    FilterSpec filter;
    const auto direction = fields_.requiredText("direction", parseDirection, kDirections);
    filter.why = fields_.text("why", parseWhy, "a short text").value_or("");
    const Node* expression = expressionOf(filter.pass);
    if (expression == nullptr || !direction) return std::nullopt;
    filter.direction = *direction;
    filter.expression = expression->text;
    if (auto fault = checkExpression(filter.expression)) {
      reporter_.error(placeOf(*expression, *fault), fault->message).hint = fault->hint;
      return std::nullopt;
    }
    auto passes = compile(filter, *expression);
    if (!passes) return std::nullopt;
    filter.passes = *std::move(passes);
    warnOfArp(filter, *expression);
    return filter;
  }

 private:
  const Node* expressionOf(bool& pass) {
    const Node* dropped = fields_.optional("drop");
    const Node* passed = fields_.optional("pass");
    if ((dropped == nullptr) == (passed == nullptr)) {
      Diagnostic& d =
          reporter_.error(node_.span, dropped == nullptr ? title_ + " filters nothing"
                                                         : title_ + " has both 'drop' and 'pass'");
      d.expected = "either 'drop' (what it matches is dropped) or 'pass' (all else is dropped)";
      return nullptr;
    }
    pass = passed != nullptr;
    const Node* node = pass ? passed : dropped;
    const auto asIs = [](std::string_view text) -> Result<std::string> {
      return std::string(text);
    };
    return fields_.text(pass ? "pass" : "drop", asIs, kExpressionWanted) ? node : nullptr;
  }

  // The words within the string, if the text is in the file as it is (no escapes, one line).
  Span placeOf(const Node& expression, const ExpressionFault& fault) const {
    const std::string line = reporter_.source().line(expression.span.line);
    const std::string& text = expression.text;
    const std::size_t begin = expression.span.column;  // behind the quote, counted from 0
    if (begin > line.size() || line.compare(begin, text.size(), text) != 0) return expression.span;
    return Span{expression.span.line, begin + 1 + fault.offset, fault.length};
  }

  // Alone first: "x) or (y" is no expression, though "not (x) or (y)" is.
  std::optional<BpfProgram> compile(const FilterSpec& filter, const Node& node) {
    if (compiler_ == nullptr) {
      reporter_.error(node.span, "filters cannot be compiled here");
      return std::nullopt;
    }
    auto matches = compiler_->compile(filter.expression, lan_);
    auto others = matches ? compiler_->compile("not (" + filter.expression + ")", lan_) : matches;
    for (const auto* each : {&matches, &others}) {
      if (*each) continue;
      const std::string& said = each->error().message;
      if (each == &matches && isSyntaxError(each->error())) {
        const ExpressionFault fault = syntaxFault(filter.expression, *compiler_, lan_);
        Diagnostic& d = reporter_.error(placeOf(node, fault), said + ": " + fault.message);
        d.hint = fault.hint;
        return std::nullopt;
      }
      const bool constant = said.find("rejects all") != std::string::npos;
      reporter_.error(node.span, !constant          ? said
                                 : each == &matches ? "no frame matches the expression"
                                                    : "every frame matches the expression");
      if (said.find("at most") != std::string::npos)
        reporter_.list().back().hint = "split it: a frame must pass every filter";
      return std::nullopt;
    }
    BpfProgram passes = filter.pass ? *std::move(matches) : *std::move(others);
    if (const auto moved = forBridgeHooks(passes); !moved) {
      reporter_.error(node.span, "the expression cannot be used: " + moved.error().message);
      return std::nullopt;
    }
    return passes;
  }

  void warnOfArp(const FilterSpec& filter, const Node& node) {
    if (runProgram(filter.passes, arpFrame()) != 0) return;
    Diagnostic& d = reporter_.warning(node.span, "this filter drops ARP");
    d.hint = "clients and their router cannot find each other without: add \"or arp\"";
    if (!filter.pass) d.hint = "clients and their router cannot find each other without";
  }

  const Node& node_;
  std::string title_;
  const Prefix4& lan_;
  const FilterCompiler* compiler_;
  Reporter& reporter_;
  FieldReader fields_;
};

}  // namespace

std::vector<FilterSpec> readFilters(const Node& node, const std::string& router, const Prefix4& lan,
                                    const FilterCompiler* compiler, Reporter& reporter) {
  std::vector<FilterSpec> filters;
  const std::string title = fmt::format("[[router.{}.lan.filter]]", router);
  std::array<std::size_t, 2> count{};
  for (const Node& item : node.items) {
    if (item.type != NodeType::table) {
      reporter.error(item.span, "a filter is not a table").expected = title;
      continue;
    }
    auto filter = FilterReader(item, title, lan, compiler, reporter).read();
    if (!filter) continue;
    if (++count[static_cast<std::size_t>(filter->direction)] > kMaxFilters) {
      reporter.error(item.span, "too many filters of one direction").expected =
          fmt::format("{} at most", kMaxFilters);
      return filters;
    }
    filters.push_back(*std::move(filter));
  }
  return filters;
}

}  // namespace orrery
