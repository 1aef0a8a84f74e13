#include "runtime/supervisor/loop.h"

#include <event2/event.h>

namespace orrery {
namespace {

void call(evutil_socket_t, short, void* argument) {
  // A copy: the callback may replace or end the very watch that holds it.
  const std::function<void()> callback = *static_cast<std::function<void()>*>(argument);
  callback();
}

struct Armed {
  std::unique_ptr<std::function<void()>> callback;
  std::unique_ptr<::event, EventDeleter> handle;
};

Result<Armed> arm(event_base* base, int fd, short what, std::function<void()> callback,
                  const timeval* timeout) {
  Armed armed;
  armed.callback = std::make_unique<std::function<void()>>(std::move(callback));
  armed.handle.reset(event_new(base, fd, what, call, armed.callback.get()));
  if (!armed.handle || event_add(armed.handle.get(), timeout) != 0)
    return sysError(ENOMEM, "watch descriptor {}", fd);
  return armed;
}

}  // namespace

void EventBaseDeleter::operator()(event_base* base) const noexcept { event_base_free(base); }
void EventDeleter::operator()(event* e) const noexcept { event_free(e); }

Result<EventBasePtr> makeEventBase() {
  EventBasePtr base(event_base_new());
  if (!base) return sysError(ENOMEM, "make an event loop");
  return base;
}

Result<ReadWatch> ReadWatch::start(event_base* base, int fd, std::function<void()> callback) {
  ORRERY_TRY_ASSIGN(Armed armed,
                    arm(base, fd, EV_READ | EV_PERSIST, std::move(callback), nullptr));
  ReadWatch watch;
  watch.callback_ = std::move(armed.callback);
  watch.event_ = std::move(armed.handle);
  return watch;
}

Result<SignalWatch> SignalWatch::start(event_base* base, int signal,
                                       std::function<void()> callback) {
  ORRERY_TRY_ASSIGN(Armed armed,
                    arm(base, signal, EV_SIGNAL | EV_PERSIST, std::move(callback), nullptr));
  SignalWatch watch;
  watch.callback_ = std::move(armed.callback);
  watch.event_ = std::move(armed.handle);
  return watch;
}

Status Timer::start(event_base* base, std::chrono::milliseconds after,
                    std::function<void()> callback) {
  timeval delay{};
  delay.tv_sec = static_cast<time_t>(after.count() / 1000);
  delay.tv_usec = static_cast<suseconds_t>((after.count() % 1000) * 1000);
  ORRERY_TRY_ASSIGN(Armed armed, arm(base, -1, EV_TIMEOUT, std::move(callback), &delay));
  event_ = std::move(armed.handle);
  callback_ = std::move(armed.callback);
  return {};
}

}  // namespace orrery
