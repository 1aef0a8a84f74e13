// orrery-lease: what udhcpc runs at each DHCP event. Writes the event and the few variables that we
// use to the supervisor's pipe, in one write of at most PIPE_BUF bytes, ended by an empty string.
// No library beyond libc: it is started for each renewal, in udhcpc's sandbox.
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace {

constexpr const char* kPipe = "/run/udhcpc/lease";
constexpr const char* kVariables[] = {"ip", "subnet", "router", "dns", "lease", "serverid"};

class Message {
 public:
  bool append(const char* text) {
    const std::size_t length = std::strlen(text);
    if (length > sizeof bytes_ - size_) return false;
    std::memcpy(bytes_ + size_, text, length);
    size_ += length;
    return true;
  }
  bool end() {
    if (size_ == sizeof bytes_) return false;
    bytes_[size_++] = '\0';
    return true;
  }
  bool send(int fd) const {
    return ::write(fd, bytes_, size_) == static_cast<ssize_t>(size_);
  }

 private:
  char bytes_[PIPE_BUF]{};
  std::size_t size_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Message message;
  if (!message.append(argv[1]) || !message.end()) return 1;
  for (const char* name : kVariables) {
    const char* value = std::getenv(name);
    if (value == nullptr) continue;
    if (!message.append(name) || !message.append("=") || !message.append(value) || !message.end())
      return 1;
  }
  if (!message.end()) return 1;
  const int fd = ::open(kPipe, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return 1;
  return message.send(fd) ? 0 : 1;
}
