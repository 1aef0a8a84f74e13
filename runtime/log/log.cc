#include "runtime/log/log.h"

#include <fcntl.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstdio>

#include "sandbox/base/fd.h"
#include "sandbox/base/file.h"

namespace orrery {
namespace {

// spdlog's own file sinks open without O_CLOEXEC and buffer in a FILE; a supervisor that starts
// services must do neither.
class DescriptorSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  DescriptorSink(int fd, UniqueFd owned, std::string path, std::uint64_t maxBytes)
      : fd_(fd), owned_(std::move(owned)), path_(std::move(path)), maxBytes_(maxBytes) {
    struct stat st {};
    if (owned_ && ::fstat(owned_.get(), &st) == 0) bytes_ = static_cast<std::uint64_t>(st.st_size);
  }
  std::uint64_t lost() const { return lost_; }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string line(message.payload.data(), message.payload.size());
    line += '\n';
    if (maxBytes_ != 0 && bytes_ + line.size() > maxBytes_) rotate();
    if (writeAll(fd_, line))
      bytes_ += line.size();
    else
      ++lost_;
  }
  void flush_() override {}

 private:
  void rotate() {
    if (std::rename(path_.c_str(), (path_ + ".1").c_str()) != 0) return;
    auto fresh = openFile(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
    if (!fresh) return;  // goes on into the renamed file
    owned_ = std::move(fresh).value();
    fd_ = owned_.get();
    bytes_ = 0;
  }

  int fd_;
  UniqueFd owned_;
  std::string path_;
  std::uint64_t maxBytes_;
  std::uint64_t bytes_ = 0;
  std::uint64_t lost_ = 0;
};

spdlog::level::level_enum levelOf(Severity severity) {
  switch (severity) {
    case Severity::debug:
      return spdlog::level::debug;
    case Severity::info:
      return spdlog::level::info;
    case Severity::warning:
      return spdlog::level::warn;
    case Severity::error:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

struct Log::Impl {
  Impl(std::shared_ptr<DescriptorSink> s, const LogOptions& o)
      : options(o), sink(std::move(s)), logger("orrery", sink) {
    logger.set_level(levelOf(options.minimum));
  }
  LogOptions options;
  std::shared_ptr<DescriptorSink> sink;
  spdlog::logger logger;
};

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Log::Log(Log&&) noexcept = default;
Log& Log::operator=(Log&&) noexcept = default;
Log::~Log() = default;

Log Log::toDescriptor(int fd, const LogOptions& options) {
  auto sink = std::make_shared<DescriptorSink>(fd, UniqueFd(), "", 0);
  return Log(std::make_unique<Impl>(std::move(sink), options));
}

Result<Log> Log::toFile(const std::string& path, const LogOptions& options) {
  ORRERY_TRY_ASSIGN(UniqueFd file,
                    openFile(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640));
  const int fd = file.get();
  auto sink = std::make_shared<DescriptorSink>(fd, std::move(file), path, options.maxBytes);
  return Log(std::make_unique<Impl>(std::move(sink), options));
}

void Log::write(const Event& event) {
  const auto level = levelOf(event.severity);
  if (!impl_->logger.should_log(level)) return;
  const std::string line =
      impl_->options.json ? toJsonLine(event) : toHumanLine(event, impl_->options.colour);
  impl_->logger.log(level, spdlog::string_view_t(line.data(), line.size()));
}

std::uint64_t Log::lost() const {
  return impl_->sink->lost();
}

}  // namespace orrery
