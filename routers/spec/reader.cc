#include "routers/spec/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <set>
#include <tuple>
#include <utility>

#include "routers/spec/router_reader.h"
#include "routers/spec/set_checks.h"
#include "routers/spec/template_expander.h"
#include "routers/spec/toml_document.h"
#include "routers/spec/values.h"

namespace orrery {
namespace {

class SetReader {
 public:
  SetReader(const AuxiliaryFiles& auxiliary, const ReadOptions& options)
      : auxiliary_(auxiliary), options_(options) {}

  void readFile(const DefinitionFile& file) {
    sources_.emplace_back(file.path, file.text);
    const Source& source = sources_.back();
    auto root = parseToml(source);
    if (!root) {
      diagnostics_.push_back(std::move(root).error());
      return;
    }
    Reporter reporter(source, diagnostics_);
    FieldReader fields(*root, Span{1, 1, 1}, "the file", KeyList{{"version", "network", "router"}},
                       reporter);
    readVersion(fields, reporter);
    const std::string network =
        fields.text("network", parseNetworkName, "a name: \"network0\"").value_or("network0");
    if (fields.required("router", "at least one table [router.NAME]") == nullptr) return;
    const Node* routers = fields.table("router", "tables [router.NAME]");
    if (routers == nullptr) return;
    for (const TableEntry& entry : routers->entries) readRouterTable(entry, network, reporter);
  }

  tl::expected<Definitions, Diagnostics> finish() {
    addKnown();
    for (Diagnostic& d : checkSet(set_)) diagnostics_.push_back(std::move(d));
    Definitions result;
    Diagnostics errors;
    for (Diagnostic& d : diagnostics_) {
      if (d.warning)
        result.warnings.push_back(std::move(d));
      else
        errors.push_back(std::move(d));
    }
    if (!errors.empty()) {
      sortByPlace(errors);
      return tl::unexpected(std::move(errors));
    }
    for (PlacedRouter& router : set_.routers) {
      if (router.source != nullptr) result.routers.push_back(std::move(router.spec));
    }
    return result;
  }

 private:
  static void readVersion(FieldReader& fields, Reporter& reporter) {
    const Node* version = fields.required("version", "version = 1");
    if (version == nullptr) return;
    if (version->type == NodeType::integer && version->integer == 1) return;
    Diagnostic& d = reporter.error(version->span, "this version of definitions is not known");
    d.expected = "version = 1";
    d.got = describe(*version);
  }

  void readRouterTable(const TableEntry& entry, const std::string& network, Reporter& reporter) {
    if (entry.value.type != NodeType::table) {
      Diagnostic& d =
          reporter.error(entry.keySpan, fmt::format("'router.{}' is not a table", entry.key));
      d.expected = "a header [router.NAME] with the router's keys below it";
      d.got = describe(entry.value);
      return;
    }
    std::set<std::tuple<std::string, std::size_t, std::size_t>> reported;
    for (const RouterInstance& instance : expandTemplate(entry, options_.count, reporter)) {
      if (!admit(instance, reporter)) return;
      set_.declared.push_back(
          {RouterId{network, instance.name}, instance.nameSpan, &reporter.source()});
      Diagnostics own;
      Reporter ownReporter(reporter.source(), own);
      auto router = readRouter(instance, network, auxiliary_, options_.filters, ownReporter);
      keepNew(std::move(own), reported);
      if (router) set_.routers.push_back(*std::move(router));
    }
  }

  // A small text can ask for a great many routers.
  bool admit(const RouterInstance& instance, Reporter& reporter) {
    if (set_.declared.size() < kMaxRouters) return true;
    if (std::exchange(full_, true)) return false;
    reporter.error(instance.nameSpan, "too many routers in one set").expected =
        fmt::format("{} at most", kMaxRouters);
    return false;
  }

  // What an earlier instance of the template was reported for, at the same place, is not repeated.
  void keepNew(Diagnostics own,
               std::set<std::tuple<std::string, std::size_t, std::size_t>>& reported) {
    std::set<std::tuple<std::string, std::size_t, std::size_t>> fresh;
    for (Diagnostic& d : own) {
      const auto place = std::tuple(d.file, d.line, d.column);
      if (reported.count(place) != 0) continue;
      fresh.insert(place);
      diagnostics_.push_back(std::move(d));
    }
    reported.insert(fresh.begin(), fresh.end());
  }

  void addKnown() {
    std::set<RouterId> defined;
    for (const DeclaredRouter& router : set_.declared) defined.insert(router.id);
    RouterSet all;
    const auto add = [&](const std::vector<RouterSpec>& known) {
      for (const RouterSpec& spec : known) {
        if (defined.count(spec.id) != 0) continue;
        all.declared.push_back(DeclaredRouter{spec.id, {}, nullptr});
        all.routers.push_back(PlacedRouter{spec, {}, nullptr});
      }
    };
    add(options_.known);
    if (options_.knownIn) add(options_.knownIn(scope()));
    // The known in front, so that a clash is reported for the newcomer.
    std::move(set_.declared.begin(), set_.declared.end(), std::back_inserter(all.declared));
    std::move(set_.routers.begin(), set_.routers.end(), std::back_inserter(all.routers));
    set_ = std::move(all);
  }

  KnownScope scope() const {
    KnownScope scope;
    for (const DeclaredRouter& router : set_.declared) scope.networks.insert(router.id.network);
    for (const PlacedRouter& router : set_.routers)
      if (std::holds_alternative<NicUplink>(router.spec.uplink)) scope.nics = true;
    return scope;
  }

  // Files in the order in which they were first mentioned; within a file by place.
  void sortByPlace(Diagnostics& errors) const {
    std::vector<std::string> order;
    for (const Source& source : sources_) order.push_back(source.file());
    const auto rank = [&](const Diagnostic& d) {
      const auto at = std::find(order.begin(), order.end(), d.file);
      return std::tuple(at - order.begin(), at == order.end() ? d.file : std::string(), d.line,
                        d.column);
    };
    std::stable_sort(errors.begin(), errors.end(),
                     [&](const Diagnostic& a, const Diagnostic& b) { return rank(a) < rank(b); });
  }

  static constexpr std::size_t kMaxRouters = 4096;

  const AuxiliaryFiles& auxiliary_;
  const ReadOptions& options_;
  std::deque<Source> sources_;  // stable addresses
  Diagnostics diagnostics_;
  RouterSet set_;
  bool full_ = false;
};

}  // namespace

tl::expected<Definitions, std::vector<Diagnostic>> readDefinitions(
    const std::vector<DefinitionFile>& files, const AuxiliaryFiles& auxiliary,
    const ReadOptions& options) {
  SetReader reader(auxiliary, options);
  for (const DefinitionFile& file : files) reader.readFile(file);
  return reader.finish();
}

}  // namespace orrery
