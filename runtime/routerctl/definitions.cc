#include "runtime/routerctl/definitions.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "runtime/control/paths.h"
#include "runtime/routerctl/names.h"
#include "runtime/routerctl/registry.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

Json toJson(const Diagnostics& diagnostics) {
  Json list = Json::array();
  for (const Diagnostic& d : diagnostics) list.push(orrery::toJson(d));
  return list;
}

// Routers that run already may be uplinks of new ones. Without the right to read them they are
// unknown, which a check of files alone does not need. Those of other networks are not read but for
// a set with a universe: there may be a thousand.
std::vector<RouterSpec> runningSpecs(const std::string& root, const KnownScope& scope) {
  std::vector<RouterSpec> specs;
  const auto read = [&](const std::vector<RouterId>& known) {
    for (const RouterId& id : known)
      if (auto spec = spawnedSpec(root, id)) specs.push_back(std::move(spec).value());
  };
  if (scope.nics) {
    read(knownRouters(root).value_or(std::vector<RouterId>{}));
    return specs;
  }
  for (const std::string& network : scope.networks)
    read(knownRoutersOf(root, network).value_or(std::vector<RouterId>{}));
  return specs;
}

Failure invalid(CommandContext& context, Diagnostics diagnostics) {
  const auto errors = std::ranges::count(diagnostics, false, &Diagnostic::warning);
  Error error;
  error.message = fmt::format("{} error{} in the definitions", errors, errors == 1 ? "" : "s");
  Failure failure(ExitCode::invalid, std::move(error));
  if (context.console.mode().json)
    failure.details = toJson(diagnostics);
  else
    context.console.complain(toText(diagnostics));
  return failure;
}

Result<bool> isDirectory(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return sysError(errno, "'{}'", path);
  return S_ISDIR(st.st_mode);
}

// The supervisor reads these again in a life of its own, which has another working directory; and a
// definition is the same from wherever it is spawned.
void makePathsAbsolute(RouterSpec& spec, const std::string& directory) {
  const auto fix = [&](std::string& path) {
    if (!path.empty() && path.front() != '/') path = directory + "/" + path;
  };
  std::visit(
      [&](auto& egress) {
        if constexpr (requires { egress.profile; }) fix(egress.profile);
        if constexpr (requires { egress.auth; }) {
          if (egress.auth) fix(*egress.auth);
        }
        if constexpr (requires { egress.torrc; }) {
          if (egress.torrc) fix(*egress.torrc);
        }
      },
      spec.egress);
}

Result<std::string> workingDirectory() {
  char path[PATH_MAX];
  if (::getcwd(path, sizeof path) == nullptr)
    return sysError(errno, "ask for the directory we are in");
  return std::string(path);
}

}  // namespace

Result<AuxiliaryFile> DiskFiles::read(const std::string& path) const {
  // O_NONBLOCK: a FIFO in the place of a profile must not stop us.
  ORRERY_TRY_ASSIGN(const UniqueFd fd, openFile(path, O_RDONLY | O_NOCTTY | O_NONBLOCK));
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return sysError(errno, "stat '{}'", path);
  if (!S_ISREG(st.st_mode)) return error("'{}' is no regular file", path);
  AuxiliaryFile file;
  file.mode = st.st_mode & 07777;
  file.uid = st.st_uid;
  auto text = readAll(fd.get(), kMaxDefinitionSize);
  if (!text) return wrap(std::move(text).error(), "'{}'", path);
  file.text = std::move(text).value();
  return file;
}

Result<BpfProgram> PcapFilters::compile(const std::string& expression, const Prefix4& lan) const {
  if (!compiler_) {
    ORRERY_TRY_ASSIGN(compiler_, ExpressionCompiler::open());
  }
  return compiler_->compile(expression, lan);
}

Result<std::vector<DefinitionFile>> loadFiles(const std::vector<std::string>& paths) {
  std::vector<DefinitionFile> files;
  const auto load = [&](const std::string& path) -> Status {
    ORRERY_TRY_ASSIGN(std::string text, readFile(path, kMaxDefinitionSize));
    files.push_back(DefinitionFile{path, std::move(text)});
    return {};
  };
  for (const std::string& path : paths) {
    ORRERY_TRY_ASSIGN(const bool directory, isDirectory(path));
    if (!directory) {
      ORRERY_TRY(load(path));
      continue;
    }
    const std::size_t before = files.size();
    ORRERY_TRY_ASSIGN(const auto names, listDirectory(path));
    for (const std::string& name : names)
      if (name.ends_with(".toml") && name.front() != '.')
        ORRERY_TRY(load(path + (path.ends_with("/") ? "" : "/") + name));
    if (files.size() == before) return error("'{}' has no definitions (*.toml)", path);
  }
  return files;
}

Result<std::vector<RouterSpec>> selectRouters(const std::vector<RouterSpec>& all,
                                              const std::vector<std::string>& names) {
  std::vector<RouterId> ids;
  for (const RouterSpec& spec : all) ids.push_back(spec.id);
  std::vector<RouterId> wanted;
  for (const std::string& name : names) {
    ORRERY_TRY_ASSIGN(RouterId id, resolveName(name, ids));
    wanted.push_back(std::move(id));
  }
  // Grows while it is walked: an uplink brings its own uplink.
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto spec = std::ranges::find(all, wanted[i], &RouterSpec::id);
    if (spec == all.end()) continue;
    const auto* uplink = std::get_if<RouterUplink>(&spec->uplink);
    if (uplink == nullptr) continue;
    RouterId above{wanted[i].network, uplink->router};
    if (std::ranges::find(wanted, above) == wanted.end()) wanted.push_back(std::move(above));
  }
  std::vector<RouterSpec> chosen;
  for (const RouterSpec& spec : all)
    if (std::ranges::find(wanted, spec.id) != wanted.end()) chosen.push_back(spec);
  return chosen;
}

tl::expected<Definitions, Failure> readPaths(CommandContext& context,
                                             const std::vector<std::string>& paths,
                                             std::optional<unsigned> count) {
  ORRERY_TRY_ASSIGN(const auto files, loadFiles(paths));
  ReadOptions options;
  options.count = count;
  options.knownIn = [&](const KnownScope& scope) { return runningSpecs(context.root, scope); };
  const PcapFilters filters;
  options.filters = &filters;
  auto read = readDefinitions(files, DiskFiles(context.caller.uid), options);
  if (!read) return tl::unexpected<Failure>(invalid(context, std::move(read).error()));
  ORRERY_TRY_ASSIGN(const std::string directory, workingDirectory());
  for (RouterSpec& spec : read->routers) makePathsAbsolute(spec, directory);
  if (!read->warnings.empty() && !context.console.mode().json)
    context.console.note(toText(read->warnings));
  return std::move(read).value();
}

tl::expected<Definitions, Failure> readSet(CommandContext& context,
                                           const std::vector<std::string>& words,
                                           std::optional<unsigned> count) {
  std::vector<std::string> paths;
  std::vector<std::string> names;
  for (const std::string& word : words) (looksLikeFile(word) ? paths : names).push_back(word);
  if (!paths.empty() && !names.empty())
    return failure(ExitCode::usage, fmt::format("'{}' is a name and '{}' a file: give the one or "
                                                "the other",
                                                names.front(), paths.front()));
  const bool byName = !names.empty();
  if (byName) paths.push_back(context.root + std::string(kDefinitionsDirectory));
  auto read = readPaths(context, paths, count);
  if (read && byName) {
    ORRERY_TRY_ASSIGN(read->routers, selectRouters(read->routers, names));
  }
  return read;
}

Json toJson(const Diagnostic& d) {
  Json json = Json::object({{"file", d.file},
                            {"line", d.line},
                            {"column", d.column},
                            {"severity", d.warning ? "warning" : "error"},
                            {"message", d.message}});
  if (!d.expected.empty()) json.set("expected", d.expected);
  if (!d.got.empty()) json.set("got", d.got);
  if (!d.hint.empty()) json.set("hint", d.hint);
  return json;
}

}  // namespace orrery
