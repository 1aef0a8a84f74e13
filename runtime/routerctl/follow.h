// Reading log files, and waiting for more of them by inotify(7): no polling.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery {

// Complete lines of the files of one directory, as they grow. A file that is replaced (rotated) or
// cut is read from its new beginning. Lines of more than 64 KiB are handed out in pieces.
class LogFollower {
 public:
  // `accept` says by its name whether a file is followed, also one that appears later.
  static Result<LogFollower> open(std::string directory,
                                  std::function<bool(std::string_view name)> accept);

  using EachLine = std::function<void(std::string_view file, std::string_view line)>;
  // What is there now, file by file; with `skip` it is passed over in silence.
  Status readNew(const EachLine& each, bool skip = false);
  // Sleeps until something changed. EINTR (a signal) is an error with err EINTR.
  Status wait();

 private:
  struct File {
    UniqueFd fd;
    ino_t inode = 0;
    off_t offset = 0;
    std::string partial;
  };

  LogFollower() = default;
  Status refresh();
  Status readFile(const std::string& name, File& file, const EachLine& each, bool skip);

  std::string directory_;
  std::function<bool(std::string_view)> accept_;
  UniqueFd inotify_;
  std::map<std::string, File> files_;
};

}  // namespace orrery
