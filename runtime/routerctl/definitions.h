// Definition files from disk, for the commands that take FILE…|DIR|NAME….
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netns/pcap/compile.h"
#include "routers/spec/reader.h"
#include "runtime/routerctl/command.h"

namespace orrery {

// Profiles and user/password files as they are on disk.
class DiskFiles final : public AuxiliaryFiles {
 public:
  explicit DiskFiles(unsigned user) : user_(user) {}
  Result<AuxiliaryFile> read(const std::string& path) const override;
  unsigned user() const override { return user_; }

 private:
  unsigned user_;
};

// Filters by libpcap, which is opened at the first one.
class PcapFilters final : public FilterCompiler {
 public:
  Result<BpfProgram> compile(const std::string& expression, const Prefix4& lan) const override;

 private:
  mutable std::optional<ExpressionCompiler> compiler_;
};

// Files as they are; of a directory its *.toml, sorted. An empty directory is an error.
Result<std::vector<DefinitionFile>> loadFiles(const std::vector<std::string>& paths);

// Reads and checks a set. Faults are printed, and the failure says how many there are (exit code
// 3); with --json they are in its details.
tl::expected<Definitions, Failure> readPaths(CommandContext& context,
                                             const std::vector<std::string>& paths,
                                             std::optional<unsigned> count = std::nullopt);
// The same for `words` that are files, directories (with a '/'), or names of routers in the
// definitions directory; named routers bring the uplinks that the set has for them.
tl::expected<Definitions, Failure> readSet(CommandContext& context,
                                           const std::vector<std::string>& words,
                                           std::optional<unsigned> count = std::nullopt);

// The routers called `names`, and those above them that are in the set. Pure.
Result<std::vector<RouterSpec>> selectRouters(const std::vector<RouterSpec>& all,
                                              const std::vector<std::string>& names);

Json toJson(const Diagnostic& diagnostic);

}  // namespace orrery
