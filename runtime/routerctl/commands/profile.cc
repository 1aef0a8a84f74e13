// profile show|check|diff: seccomp profiles, those that are built in and files.
#include "runtime/routerctl/commands.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"
#include "sandbox/seccomp/build_profile.h"
#include "sandbox/seccomp/compile.h"
#include "sandbox/seccomp/diff.h"
#include "sandbox/seccomp/dump.h"

namespace orrery {
namespace {

constexpr std::string_view kSuffix = ".toml";

struct Named {
  std::string name;
  ProfileSet set;
};

// "tor", or a path. A file may extend its neighbours and the profiles that are built in; of two
// with one name the file's neighbour is meant, so that a whole folder of another version can be
// compared.
Result<Named> find(const std::string& word) {
  Named out;
  ORRERY_TRY_ASSIGN(out.set, embeddedProfileSet());
  const bool isPath = word.find('/') != std::string::npos || word.ends_with(kSuffix);
  if (!isPath) {
    out.name = word;
    return out;
  }
  const std::size_t slash = word.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : word.substr(0, slash + 1);
  const std::string file = slash == std::string::npos ? word : word.substr(slash + 1);
  const auto stem = [](const std::string& name) {
    return name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name;
  };
  out.name = stem(file);
  ORRERY_TRY_ASSIGN(const std::string text, readFile(word, kMaxProfileText));
  ORRERY_TRY_ASSIGN(out.set[out.name], readProfile(out.name, text));
  // Neighbours that are no profiles are none of our business; one that is needed will be missed.
  ORRERY_TRY_ASSIGN(const auto neighbours, listDirectory(directory));
  for (const std::string& neighbour : neighbours) {
    if (!neighbour.ends_with(kSuffix) || neighbour == file) continue;
    const auto other = readFile(directory + "/" + neighbour, kMaxProfileText);
    if (!other) continue;
    auto profile = readProfile(stem(neighbour), *other);
    if (profile) out.set[stem(neighbour)] = *std::move(profile);
  }
  return out;
}

// Not held against the laws: those of an older version may have been others.
Result<FlatProfile> flattened(const std::string& word) {
  ORRERY_TRY_ASSIGN(const Named named, find(word));
  return flatten(named.set, named.name);
}

class ProfileCommand final : public Command {
 public:
  std::string_view name() const override { return "profile"; }
  std::string_view summary() const override { return "Show, check and compare seccomp profiles"; }
  std::string_view details() const override {
    return "  show PROFILE       what it lets through, and why; --bytecode: the program\n"
           "  check PROFILE      whether it can be used, and keeps every law\n"
           "  diff OLD NEW       what came (+), went (-), and changed its action (!)\n"
           "A PROFILE is the name of one that is built in (tor), or a file (./tor.toml) that may\n"
           "extend those and its neighbours.\n"
           "Exit: 0 ok or no difference, 1 a profile is faulty, or two differ.";
  }
  void declare(CommandLine& line) override {
    line.flag("--bytecode", bytecode_, "Show the program in place of the table");
    line.word("show|check|diff", verb_, Completes::nothing, "What to do");
    line.words("PROFILE", profiles_, Completes::files, "Name or file", true);
  }

  CommandResult run(CommandContext& context) override {
    Console& console = context.console;
    const std::size_t wanted = verb_ == "diff" ? 2 : 1;
    if (verb_ != "show" && verb_ != "check" && verb_ != "diff")
      return failure(ExitCode::usage,
                     fmt::format("'{}' is none of show, check, diff", printable(verb_)));
    if (profiles_.size() != wanted)
      return failure(ExitCode::usage, fmt::format("'profile {}' takes {}", verb_,
                                                  wanted == 2 ? "two profiles" : "one profile"));
    if (verb_ == "check") return check(console);
    ORRERY_TRY_ASSIGN(const FlatProfile first, flattened(profiles_[0]));
    if (verb_ == "show") return show(console, first);
    ORRERY_TRY_ASSIGN(const FlatProfile second, flattened(profiles_[1]));
    return diff(console, first, second);
  }

 private:
  CommandResult show(Console& console, const FlatProfile& flat) const {
    if (!bytecode_) {
      print(console, toTable(flat), "table");
      return 0;
    }
    ORRERY_TRY_ASSIGN(const std::vector<sock_filter> program, compile(flat));
    print(console, toBytecodeText(program), "bytecode");
    return 0;
  }

  CommandResult check(Console& console) const {
    ORRERY_TRY_ASSIGN(const Named named, find(profiles_[0]));
    ORRERY_TRY_ASSIGN(const BuiltProfile built, buildProfile(named.set, named.name));
    print(console,
          fmt::format("{}: {} calls, {} instructions, every other call: {}\n", built.flat.name,
                      built.flat.calls.size(), built.program.size(),
                      toString(built.flat.defaultAction)),
          "summary");
    return 0;
  }

  static CommandResult diff(Console& console, const FlatProfile& before, const FlatProfile& after) {
    const std::string text = diffProfiles(before, after);
    print(console, text, "diff");
    return static_cast<int>(text.empty() ? ExitCode::ok : ExitCode::failed);
  }

  static void print(Console& console, const std::string& text, const char* key) {
    if (console.mode().json)
      console.document(Json::object({{"schema", "orrery.profile/1"}, {key, text}}));
    else
      console.print(text);
  }

  std::string verb_;
  std::vector<std::string> profiles_;
  bool bytecode_ = false;
};

}  // namespace

std::unique_ptr<Command> makeProfileCommand() {
  return std::make_unique<ProfileCommand>();
}

}  // namespace orrery
