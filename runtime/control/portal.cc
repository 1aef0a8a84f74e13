#include "runtime/control/portal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>

#include "sandbox/base/file.h"

namespace orrery {

Result<std::unique_ptr<Portal>> Portal::create(event_base* base, const RouterPaths& paths,
                                               const PortalOptions& options,
                                               ControlHandler& handler) {
  std::unique_ptr<Portal> portal(new Portal);
  portal->path_ = paths.portalStatus;
  portal->maxBytes_ = options.maxStatusBytes;
  portal->startMs_ = Timestamp::now().monotonicMs;
  ORRERY_TRY(makeDirectories(paths.portalDir, 0755));
  ORRERY_TRY(portal->openStatus());
  ControlServerOptions server;
  server.path = paths.portalSocket;
  server.owner = options.owner;
  server.group = options.group;
  server.verbs = {std::string(verb::kStatus), std::string(verb::kReset), std::string(verb::kNewnym),
                  std::string(verb::kEgress)};
  ORRERY_TRY_ASSIGN(portal->server_, ControlServer::create(base, std::move(server), handler));
  return portal;
}

Portal::~Portal() = default;

Status Portal::openStatus() {
  ORRERY_TRY_ASSIGN(status_, openFile(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0644));
  struct stat st {};
  if (::fstat(status_.get(), &st) != 0) return sysError(errno, "stat '{}'", path_);
  // The umask of whoever started us must not hide it from its readers.
  if (::fchmod(status_.get(), 0644) != 0) return sysError(errno, "set mode of '{}'", path_);
  bytes_ = static_cast<std::uint64_t>(st.st_size);
  return {};
}

Status Portal::rotate() {
  const std::string old = path_ + ".1";
  if (std::rename(path_.c_str(), old.c_str()) != 0)
    return sysError(errno, "rename '{}' to '{}'", path_, old);
  return openStatus();
}

Status Portal::record(const Event& event) {
  Json json = toJson(event);
  const std::int64_t elapsed = Timestamp::now().monotonicMs - startMs_;
  json.set("seconds", static_cast<double>(elapsed) / 1000.0);
  const std::string line = json.dump() + '\n';
  if (bytes_ + line.size() > maxBytes_) ORRERY_TRY(rotate());
  ORRERY_TRY(writeAll(status_.get(), line));
  bytes_ += line.size();
  return {};
}

}  // namespace orrery
