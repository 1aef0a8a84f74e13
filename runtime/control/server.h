// The supervisor's end of the control protocol (protocol.h), in the supervisor's libevent loop.
//
// Limits: 64 peers, 64 KiB a line, 256 KiB of unread output for each peer; who exceeds one is told
// so where that is possible, and dropped. Who may connect is decided by SO_PEERCRED (unix(7)): the
// kernel's word, taken at connect(2). One thread, no timers: an idle server causes no wake-up.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/control/events.h"
#include "runtime/control/protocol.h"
#include "sandbox/base/result.h"

struct event_base;

namespace orrery {

struct ControlPeer {  // host ids
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  // The result of a request. Runs in the event loop and must not block, nor destroy the server.
  // "status" must give the state's JSON; "events" never comes here.
  virtual Result<Json> handle(const ControlRequest& request, const ControlPeer& peer) = 0;
};

struct ControlServerOptions {
  std::string path;  // a stale socket there is replaced; its directory must be ours
  mode_t mode = 0600;
  uid_t owner = 0;  // of the socket file; also may connect
  gid_t group = 0;
  std::vector<uid_t> allowed;      // further uids that may connect; root always may
  std::vector<std::string> verbs;  // what may be asked; empty: everything
  std::size_t maxPeers = 64;
  std::size_t maxUnread = 256u << 10;  // bytes queued for one peer
};

class ControlServer {
 public:
  // The base and the handler must outlive the server. EADDRINUSE if a living server is there.
  static Result<std::unique_ptr<ControlServer>> create(event_base* base,
                                                       ControlServerOptions options,
                                                       ControlHandler& handler);
  ~ControlServer();  // drops every peer and removes the socket file
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  // To every subscriber; one that reads too slowly is dropped.
  void publish(const Event& event);
  std::size_t peerCount() const;

 private:
  struct Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery
