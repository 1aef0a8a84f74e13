// libevent behind owners: one loop, watches on descriptors, one-shot timers. Single-threaded.
//
// A watch or timer calls a member function of an object that outlives it:
//   watch_.start(loop, fd, Watch::Mode::edge, dispatch<Flow, &Flow::onClient>, this)
// It may be destroyed, with its object, from within its own call.
#pragma once

#include <chrono>
#include <memory>

#include "sandbox/base/result.h"

struct event;
struct event_base;

namespace orrery::tproxy {

struct Ready {
  short what = 0;  // libevent's EV_ flags
  bool readable() const { return (what & 0x02) != 0; }
  bool writable() const { return (what & 0x04) != 0; }
};
using RawCallback = void (*)(int fd, short what, void* context);

template <class T, void (T::*Method)(Ready)>
void dispatch(int, short what, void* context) {
  (static_cast<T*>(context)->*Method)(Ready{what});
}

class Loop {
 public:
  static Result<Loop> create();
  Status run();  // returns after stop()
  void stop();
  event_base* base() const { return base_.get(); }

 private:
  struct Free {
    void operator()(event_base* base) const;
  };
  std::unique_ptr<event_base, Free> base_;
};

namespace detail {
struct FreeEvent {
  void operator()(event* e) const;
};
using EventPtr = std::unique_ptr<event, FreeEvent>;
}  // namespace detail

// Does not own the descriptor: destroy or stop() the watch before the descriptor is closed.
class Watch {
 public:
  enum class Mode {
    read,  // level-triggered, readable
    edge,  // edge-triggered, readable and writable: go on until EAGAIN
  };
  Status start(Loop& loop, int fd, Mode mode, RawCallback callback, void* context);
  void stop() { event_.reset(); }
  // Level-triggered watches only: no call until resume().
  void pause();
  void resume();

 private:
  detail::EventPtr event_;
};

class Timer {
 public:
  Status start(Loop& loop, RawCallback callback, void* context);
  void stop() { event_.reset(); }
  void arm(std::chrono::milliseconds delay);  // replaces an earlier time
  void disarm();
  bool armed() const;

 private:
  detail::EventPtr event_;
};

// CLOCK_MONOTONIC_COARSE: some milliseconds old, no system call.
std::chrono::milliseconds coarseNow();

}  // namespace orrery::tproxy
