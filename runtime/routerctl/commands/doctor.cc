// doctor: can routers run on this host, and if not, what to do about it.
#include <algorithm>

#include "runtime/doctor/checks.h"
#include "runtime/doctor/gather.h"
#include "runtime/engine/programs.h"
#include "runtime/routerctl/commands.h"

namespace orrery {
namespace {

Tone toneOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return Tone::good;
    case Verdict::warning:
      return Tone::warning;
    case Verdict::problem:
      return Tone::bad;
    case Verdict::unknown:
      return Tone::dim;
  }
  return Tone::plain;
}

class DoctorCommand final : public Command {
 public:
  std::string_view name() const override { return "doctor"; }
  std::string_view summary() const override { return "Check whether routers can run on this host"; }
  std::string_view details() const override {
    return "What has to be tried is tried in namespaces that end with the command; the kernel may\n"
           "load modules for it. Without root some checks are not made. Exit code 0 if nothing\n"
           "prevents running, also with warnings, else 1.";
  }
  void declare(CommandLine&) override {}
  CommandResult run(CommandContext& context) override {
    const auto libexec = libexecDirectory();
    const HostFacts facts = gatherHost(programPaths(libexec ? *libexec : ""), context.root);
    const std::vector<Finding> findings = judgeHost(facts);
    if (context.console.mode().json)
      context.console.document(document(findings));
    else
      print(context.console, findings);
    return static_cast<int>(canRun(findings) ? ExitCode::ok : ExitCode::failed);
  }

 private:
  static Json document(const std::vector<Finding>& findings) {
    Json list = Json::array();
    for (const Finding& finding : findings) {
      const Judgement& j = finding.judgement;
      list.push(Json::object({{"id", finding.id},
                              {"title", finding.title},
                              {"severity", toString(j.verdict)},
                              {"found", j.found},
                              {"effect", j.effect},
                              {"remedy", j.remedy}}));
    }
    return Json::object({{"schema", "orrery.doctor/1"},
                         {"canRun", canRun(findings)},
                         {"findings", std::move(list)}});
  }

  // The table of all, then what to do; --quiet leaves what is well out.
  static void print(Console& console, const std::vector<Finding>& findings) {
    Table table({"check", "result", "found"});
    std::size_t warnings = 0, problems = 0;
    for (const Finding& finding : findings) {
      const Verdict verdict = finding.judgement.verdict;
      warnings += verdict == Verdict::warning ? 1 : 0;
      problems += verdict == Verdict::problem ? 1 : 0;
      if (console.mode().quiet && verdict == Verdict::ok) continue;
      table.row({finding.title, Cell(toString(verdict), toneOf(verdict)), finding.judgement.found});
    }
    if (!table.empty()) console.table(table);
    for (const Finding& finding : findings) {
      const Judgement& j = finding.judgement;
      if (j.verdict == Verdict::ok || (j.effect.empty() && j.remedy.empty())) continue;
      console.print(fmt::format("\n{}: {}\n", finding.title, j.effect));
      if (!j.remedy.empty()) console.print(fmt::format("  remedy: {}\n", j.remedy));
    }
    console.note(problems == 0 ? fmt::format("\nrouters can run here (warnings: {})", warnings)
                               : fmt::format("\nproblems: {}, warnings: {}", problems, warnings));
  }
};

}  // namespace

std::unique_ptr<Command> makeDoctorCommand() {
  return std::make_unique<DoctorCommand>();
}

}  // namespace orrery
