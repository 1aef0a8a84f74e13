// The one logging facade. Only runtime/ logs, and only through this; a line is an Event (severity,
// router, service, name, key=value), as text for people and as JSON otherwise. spdlog stays in
// log.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/control/events.h"
#include "sandbox/base/result.h"

namespace orrery {

struct LogOptions {
  Severity minimum = Severity::info;
  bool json = true;
  bool colour = false;
  std::uint64_t maxBytes =
      0;  // a file that grows beyond becomes <path>.1 and begins anew; 0: never
};

class Log {
 public:
  // To a descriptor that outlives the log (2: standard error).
  static Log toDescriptor(int fd, const LogOptions& options);
  // To a file, made with mode 0640, CLOEXEC, appended to.
  static Result<Log> toFile(const std::string& path, const LogOptions& options);
  Log(Log&&) noexcept;
  Log& operator=(Log&&) noexcept;
  ~Log();

  // One write(2) of a whole line each, so that lines of several writers do not mix. What cannot be
  // written is counted and not reported: there is nobody left to tell.
  void write(const Event& event);
  std::uint64_t lost() const;

 private:
  struct Impl;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery
