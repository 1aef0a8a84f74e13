// libevent's loop with owners for its events. One thread; callbacks must not block.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>

#include "sandbox/base/result.h"

struct event_base;
struct event;

namespace orrery {

struct EventBaseDeleter {
  void operator()(event_base* base) const noexcept;
};
using EventBasePtr = std::unique_ptr<event_base, EventBaseDeleter>;
Result<EventBasePtr> makeEventBase();

struct EventDeleter {
  void operator()(event* e) const noexcept;
};

// Calls back while the descriptor is readable; ends with its owner. The descriptor must outlive it.
class ReadWatch {
 public:
  ReadWatch() = default;
  static Result<ReadWatch> start(event_base* base, int fd, std::function<void()> callback);
  void stop() { event_.reset(); }
  explicit operator bool() const { return event_ != nullptr; }

 private:
  // The callback's address is libevent's argument, so it stays put when the watch moves.
  std::unique_ptr<std::function<void()>> callback_;
  std::unique_ptr<event, EventDeleter> event_;
};

class SignalWatch {
 public:
  SignalWatch() = default;
  static Result<SignalWatch> start(event_base* base, int signal, std::function<void()> callback);

 private:
  std::unique_ptr<std::function<void()>> callback_;
  std::unique_ptr<event, EventDeleter> event_;
};

// One shot.
class Timer {
 public:
  Timer() = default;
  Status start(event_base* base, std::chrono::milliseconds after, std::function<void()> callback);
  void stop() { event_.reset(); }

 private:
  std::unique_ptr<std::function<void()>> callback_;
  std::unique_ptr<event, EventDeleter> event_;
};

}  // namespace orrery
