#include "runtime/tproxy/loop.h"

#include <event2/event.h>
#include <time.h>

#include <cerrno>

namespace orrery::tproxy {

static_assert(EV_READ == 0x02 && EV_WRITE == 0x04, "Ready knows libevent's flags");

void Loop::Free::operator()(event_base* base) const {
  event_base_free(base);
}
void detail::FreeEvent::operator()(event* e) const {
  event_free(e);
}

Result<Loop> Loop::create() {
  struct FreeConfig {
    void operator()(event_config* c) const { event_config_free(c); }
  };
  std::unique_ptr<event_config, FreeConfig> config(event_config_new());
  if (!config) return sysError(ENOMEM, "make the event loop");
  // Edges are what keeps the relay at a few calls per chunk; epoll has them.
  event_config_require_features(config.get(), EV_FEATURE_ET);
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_IGNORE_ENV);
  Loop loop;
  loop.base_.reset(event_base_new_with_config(config.get()));
  if (!loop.base_) return sysError(errno, "make the event loop");
  return loop;
}

Status Loop::run() {
  if (event_base_loop(base_.get(), EVLOOP_NO_EXIT_ON_EMPTY) < 0) {
    return sysError(errno, "wait for events");
  }
  return {};
}

void Loop::stop() {
  event_base_loopbreak(base_.get());
}

Status Watch::start(Loop& loop, int fd, Mode mode, RawCallback callback, void* context) {
  const int what = EV_PERSIST | EV_READ | (mode == Mode::edge ? EV_WRITE | EV_ET : 0);
  event_.reset(event_new(loop.base(), fd, static_cast<short>(what), callback, context));
  if (!event_) return sysError(ENOMEM, "watch descriptor {}", fd);
  if (event_add(event_.get(), nullptr) != 0) return sysError(errno, "watch descriptor {}", fd);
  return {};
}

void Watch::pause() {
  if (event_) event_del(event_.get());
}

void Watch::resume() {
  if (event_) event_add(event_.get(), nullptr);
}

Status Timer::start(Loop& loop, RawCallback callback, void* context) {
  event_.reset(event_new(loop.base(), -1, 0, callback, context));
  if (!event_) return sysError(ENOMEM, "make a timer");
  return {};
}

void Timer::arm(std::chrono::milliseconds delay) {
  const auto ms = delay.count();
  timeval tv{};
  tv.tv_sec = static_cast<time_t>(ms / 1000);
  tv.tv_usec = static_cast<suseconds_t>((ms % 1000) * 1000);
  event_add(event_.get(), &tv);
}

void Timer::disarm() {
  if (event_) event_del(event_.get());
}

bool Timer::armed() const {
  return event_ && event_pending(event_.get(), EV_TIMEOUT, nullptr);
}

std::chrono::milliseconds coarseNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::chrono::milliseconds(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

}  // namespace orrery::tproxy
