// A real program under one of our filters, in user, network, mount and pid namespaces of its own:
// what the sandbox library will do, reduced to what a filter's test needs.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::test {

// A directory of the test, removed at its end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const;

 private:
  std::string path_;
};

// A process that holds fresh user, network and mount namespaces (root mapped to the caller) with lo
// up, until it is destroyed. Nothing in it is visible outside.
class FakeHost {
 public:
  FakeHost();
  ~FakeHost();
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  pid_t pid() const { return pid_; }
  // Runs a set-up command inside and expects success. Returns its output.
  std::string run(const std::string& shellCommand) const;

 private:
  pid_t pid_ = -1;
};

struct Ended {
  int exitCode = -1;  // if it exited
  int signal = 0;     // if it was killed
};

class Confined {
 public:
  struct Options {
    std::vector<std::string> environment;
    std::function<int()> beforeFilter;  // in the child, inside the namespaces
    bool listener = false;              // install with a listener and hand it over
  };
  // Starts argv[0] with the named embedded profile. An empty profile means no filter.
  Confined(const FakeHost& host, const std::string& profile, std::vector<std::string> argv,
           Options options);
  Confined(const FakeHost& host, const std::string& profile, std::vector<std::string> argv)
      : Confined(host, profile, std::move(argv), Options()) {}
  ~Confined();
  Confined(const Confined&) = delete;
  Confined& operator=(const Confined&) = delete;

  // Reads what it says (both streams) until `text` appears; false at its end or after 20 s.
  bool waitFor(const std::string& text);
  void signal(int number) const;
  // Reads to the end and reaps.
  Ended wait();
  const std::string& output() const { return output_; }
  pid_t pid() const { return pid_; }
  UniqueFd takeListener() { return std::move(listener_); }

 private:
  bool readMore(std::chrono::steady_clock::time_point deadline);
  void takeListenerFrom(int number);

  pid_t pid_ = -1;
  UniqueFd out_;
  UniqueFd listener_;
  std::string output_;
};

}  // namespace orrery::test
