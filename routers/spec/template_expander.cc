#include "routers/spec/template_expander.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "routers/spec/reader.h"

namespace orrery {
namespace {

constexpr std::string_view kPlaceholder = "${n}";

void replaceAll(std::string& text, std::string_view number) {
  for (std::size_t at = text.find(kPlaceholder); at != std::string::npos;
       at = text.find(kPlaceholder, at + number.size())) {
    text.replace(at, kPlaceholder.size(), number);
  }
}

void substitute(Node& node, std::string_view number) {
  if (node.type == NodeType::string) replaceAll(node.text, number);
  for (Node& item : node.items) substitute(item, number);
  for (TableEntry& entry : node.entries) substitute(entry.value, number);
}

// Reports every "${" that stands for nothing; true if there was none.
bool checkPlaceholders(const Node& node, bool inTemplate, Reporter& reporter) {
  bool good = true;
  for (const Node& item : node.items) good &= checkPlaceholders(item, inTemplate, reporter);
  for (const TableEntry& entry : node.entries) {
    good &= checkPlaceholders(entry.value, inTemplate, reporter);
  }
  if (node.type != NodeType::string) return good;
  for (std::size_t at = node.text.find("${"); at != std::string::npos;
       at = node.text.find("${", at + 1)) {
    const bool known = node.text.compare(at, kPlaceholder.size(), kPlaceholder) == 0;
    if (known && inTemplate) continue;
    Diagnostic& d =
        reporter.error(node.span, known ? "'${n}' stands for nothing outside of a template"
                                        : "only '${n}' is replaced, and there is no arithmetic");
    d.got = describe(node);
    if (known) d.hint = "a template has a 'count' beside its 'kind'";
    return false;
  }
  return good;
}

}  // namespace

std::vector<RouterInstance> expandTemplate(const TableEntry& router,
                                           const std::optional<std::uint32_t>& count,
                                           Reporter& reporter) {
  std::vector<RouterInstance> instances;
  RouterInstance pattern{router.key, router.keySpan, router.value, false};
  auto& entries = pattern.table.entries;
  const auto own = std::find_if(entries.begin(), entries.end(),
                                [](const TableEntry& e) { return e.key == "count"; });
  if (own == entries.end()) {
    if (checkPlaceholders(pattern.table, false, reporter)) instances.push_back(std::move(pattern));
    return instances;
  }
  const Node value = own->value;
  entries.erase(own);
  if (!checkPlaceholders(pattern.table, true, reporter)) return instances;
  if (value.type != NodeType::integer || value.integer < 1 || value.integer > kMaxTemplateCount) {
    Diagnostic& d = reporter.error(value.span, "'count' is not a number of routers");
    d.expected = fmt::format("a number from 1 to {}", kMaxTemplateCount);
    d.got = describe(value);
    return instances;
  }
  const std::uint32_t total = count.value_or(static_cast<std::uint32_t>(value.integer));
  for (std::uint32_t n = 0; n < total; ++n) {
    RouterInstance instance = pattern;
    const std::string number = std::to_string(n);
    instance.name += number;
    instance.ofTemplate = true;
    substitute(instance.table, number);
    instances.push_back(std::move(instance));
  }
  return instances;
}

}  // namespace orrery
