// The auditor as a process: started confined, told what to watch, asked for its report.
//
// Needs root: the rings are opened inside the namespaces whose links they watch. The auditor itself
// runs in an empty network namespace as a user of its own, without a capability, under the seccomp
// profile "auditor", with nothing in its root but itself.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "runtime/audit/wire.h"
#include "sandbox/process/spawn.h"

namespace orrery::audit {

struct Watch {
  WatchedLink link;
  UniqueFd ring;  // of openRing()
};

struct AuditorHome {
  std::string libexec;  // the directory of orrery-auditor
  IdRange ids;          // two host ids that nobody else has
};

class AuditorProcess {
 public:
  // Returns when every ring is being read: what was sent since it was opened is in it. `patience`
  // with breaches: see Audit.
  static Result<AuditorProcess> start(
      std::vector<Watch> watches, const std::string& session, const AuditorHome& home,
      std::chrono::milliseconds patience = std::chrono::milliseconds::zero());
  AuditorProcess(AuditorProcess&&) = default;
  AuditorProcess& operator=(AuditorProcess&&) = delete;
  ~AuditorProcess();

  // Waits for the marker of that number on that link (an index into the watches). Err ETIMEDOUT.
  Status awaitMarker(std::size_t link, unsigned number, std::chrono::milliseconds timeout);
  // What was seen until now.
  Result<std::vector<LinkReport>> report(std::chrono::milliseconds timeout);
  // One for each watch, in force when this returns.
  Status setContracts(std::vector<LinkContract> contracts, std::chrono::milliseconds timeout);
  // Readable when the auditor has something to tell; nextLine() takes it. For streams.
  int fd() const { return talk_.get(); }
  // nextLine() would not have to wait.
  bool hasLine() const { return !told_.empty() || pending_.find('\n') != std::string::npos; }
  Result<Json> nextLine(std::chrono::milliseconds timeout);

 private:
  AuditorProcess(UniqueFd talk, SandboxedChild child)
      : talk_(std::move(talk)), child_(std::move(child)) {}
  Result<Json> readLine(std::chrono::milliseconds timeout);
  Result<Json> await(std::string_view event, std::chrono::milliseconds timeout);
  Error whyItEnded() const;

  UniqueFd talk_;
  SandboxedChild child_;
  std::string pending_;
  std::vector<Json> markers_;  // that came while something else was awaited
  std::deque<Json> told_;      // violations and losses, likewise: for nextLine()
};

}  // namespace orrery::audit
