// What the relay costs, as counts: system calls, pipes, bytes of memory. No time is measured.
//
// A flow runs here on unix sockets, with the SOCKS5 server played in between the loop's turns by
// the test itself: nothing happens unless the test does it, so the counts are exact.
#include <event2/event.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/tproxy/relay/flow.h"
#include "runtime/tproxy/relay/upstream.h"
#include "sandbox/base/file.h"

namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

// Of the whole program: it has one thread.
struct Counts {
  std::size_t splices = 0;
  bool endless = false;       // the first 1000 calls move all they are asked for, with no kernel
  std::size_t allocated = 0;  // bytes in use
};
Counts& counts() {
  static Counts all;
  return all;
}

void* counted(void* block) {
  if (block != nullptr) counts().allocated += ::malloc_usable_size(block);
  return block;
}
void release(void* block) {
  if (block != nullptr) counts().allocated -= ::malloc_usable_size(block);
  std::free(block);
}
void* resized(void* block, std::size_t size) {
  if (block != nullptr) counts().allocated -= ::malloc_usable_size(block);
  return counted(std::realloc(block, size));
}

}  // namespace

// The linker takes this one before libc's.
extern "C" ssize_t splice(int in, loff_t* inOffset, int out, loff_t* outOffset, std::size_t size,
                          unsigned flags) {
  ++counts().splices;
  if (counts().endless && counts().splices < 1000) return static_cast<ssize_t>(size);
  return ::syscall(SYS_splice, in, inOffset, out, outOffset, size, flags);
}

void* operator new(std::size_t size) {
  if (void* block = counted(std::malloc(size))) return block;
  std::abort();
}
void operator delete(void* block) noexcept {
  release(block);
}
void operator delete(void* block, std::size_t) noexcept {
  release(block);
}

namespace orrery::tproxy {
namespace {

struct Pair {
  UniqueFd ours;
  UniqueFd theirs;
};

Pair socketPair() {
  std::array<int, 2> fds{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

class Host final : public FlowHost {
 public:
  Host() : loop_(newLoop()), pipes_(config_.limits.pipes), directory_("/tmp/orrery-cost-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    const std::string path = directory_ + "/socks";
    config_.upstream = UnixUpstream{path};
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un here{};
    here.sun_family = AF_UNIX;
    path.copy(here.sun_path, sizeof(here.sun_path) - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&here), sizeof(here)), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
  }
  ~Host() override { (void)removeTree(directory_); }

  Loop& loop() override { return loop_; }
  PipePool& pipes() override { return pipes_; }
  Counters& counters() override { return counters_; }
  const Config& config() const override { return config_; }
  void resumeLater(Flow&) override { ++resumes; }
  void upstreamState(bool, std::string_view) override {}
  void flowEnded(Flow&) override { flow_.reset(); }

  // One flow at a time is told apart by its end; the ones before it only stay open.
  Flow& start(UniqueFd client) {
    if (flow_) kept_.push_back(std::move(flow_));
    auto upstream = upstreamSocket(config_.upstream);
    EXPECT_TRUE(upstream);
    flow_ = std::make_unique<Flow>(*this, shares[who], std::move(client), std::move(*upstream),
                                   Ipv4{1});
    flow_->start(Target{Ipv4{0x01010101}, 80}, std::nullopt);
    return *flow_;
  }

  // Serves what is ready, until nothing is.
  void settle() {
    for (int i = 0; i < 4; ++i) event_base_loop(loop_.base(), EVLOOP_ONCE | EVLOOP_NONBLOCK);
  }

  // The server's end of the stream, after the handshake.
  UniqueFd answer() {
    UniqueFd server(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    std::array<char, 64> in{};
    settle();
    EXPECT_EQ(::recv(server.get(), in.data(), in.size(), 0), 3);
    EXPECT_EQ(::send(server.get(), "\5\0", 2, 0), 2);
    settle();
    EXPECT_EQ(::recv(server.get(), in.data(), in.size(), 0), 10);
    EXPECT_EQ(::send(server.get(), "\5\0\0\1\0\0\0\0\0\0", 10, 0), 10);
    settle();
    return server;
  }

  int resumes = 0;
  std::array<ClientShare, 2> shares;
  std::size_t who = 0;  // of those, the client of the next flow
  Limits& limits() { return config_.limits; }

 private:
  static Loop newLoop() {
    event_set_mem_functions([](std::size_t size) { return counted(std::malloc(size)); }, resized,
                            release);
    auto made = Loop::create();
    EXPECT_TRUE(made);
    return std::move(*made);
  }

  Loop loop_;
  Config config_;
  Counters counters_;
  PipePool pipes_;
  std::string directory_;
  UniqueFd listener_;
  std::unique_ptr<Flow> flow_;
  std::vector<std::unique_ptr<Flow>> kept_;
};

struct Stream {
  explicit Stream(Host& host) {
    Pair pair = socketPair();
    client = std::move(pair.theirs);
    flow = &host.start(std::move(pair.ours));
    server = host.answer();
  }
  UniqueFd client;
  UniqueFd server;
  Flow* flow = nullptr;
};

std::size_t receiveAll(int fd) {
  std::vector<char> buffer(kMiB);
  std::size_t total = 0;
  for (ssize_t n; (n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;) {
    total += static_cast<std::size_t>(n);
  }
  return total;
}

TEST(RelayCost, IdleConnectionsHoldNoPipe) {
  Host host;
  std::vector<Stream> open;
  for (int i = 0; i < 40; ++i) open.emplace_back(host);
  EXPECT_EQ(host.counters().established, 40u);
  for (const Stream& stream : open) {
    ASSERT_EQ(::send(stream.client.get(), "x", 1, 0), 1);
    ASSERT_EQ(::send(stream.server.get(), "yz", 2, 0), 2);
  }
  for (int i = 0; i < 10; ++i) host.settle();
  EXPECT_EQ(host.counters().bytesUp, 40u);
  EXPECT_EQ(host.counters().bytesDown, 80u);
  EXPECT_EQ(host.pipes().inUse(), 0u);
  EXPECT_EQ(host.pipes().spare(), 1u) << "one pipe serves flows that take turns";
}

TEST(RelayCost, OnlyBytesThatWaitHoldAPipe) {
  Host host;
  Stream stream(host);
  const std::string chunk(64 * kKiB, 'x');
  std::size_t sent = 0;
  for (ssize_t n; (n = ::send(stream.server.get(), chunk.data(), chunk.size(), 0)) > 0;) {
    sent += static_cast<std::size_t>(n);
    host.settle();
  }
  EXPECT_EQ(host.pipes().inUse(), 1u) << "the client reads nothing";
  std::size_t got = 0;
  for (std::size_t some; (some = receiveAll(stream.client.get())) > 0; host.settle()) got += some;
  EXPECT_EQ(got, sent);
  EXPECT_EQ(host.pipes().inUse(), 0u);
}

TEST(RelayCost, UserMemoryOfAConnection) {
  Host host;
  Stream first(host);  // what is made once
  std::vector<Stream> open;
  constexpr std::size_t kFlows = 100;
  open.reserve(kFlows);
  const std::size_t before = counts().allocated;
  for (std::size_t i = 0; i < kFlows; ++i) open.emplace_back(host);
  const std::size_t each = (counts().allocated - before) / kFlows;
  RecordProperty("bytes", static_cast<int>(each));
  EXPECT_GT(each, sizeof(Flow)) << "the counter sees allocations";
  EXPECT_LE(each, 1024u) << "bytes of user memory for each open connection";
}

// In, out, and the look that finds no more: three calls, whatever the size up to a pipe's.
TEST(RelayCost, ThreeCallsForWhatComesAtOnce) {
  Host host;
  Stream stream(host);
  for (const std::size_t size : {std::size_t{1}, kKiB, 16 * kKiB, 64 * kKiB}) {
    const std::string message(size, 'm');
    counts().splices = 0;
    ASSERT_EQ(::send(stream.server.get(), message.data(), size, 0), static_cast<ssize_t>(size));
    host.settle();
    EXPECT_EQ(receiveAll(stream.client.get()), size);
    EXPECT_LE(counts().splices, 3u) << size;
    EXPECT_GE(counts().splices, 2u) << size;
  }
}

TEST(RelayCost, CallsForAMegabyte) {
  Host host;
  Stream stream(host);
  const std::string chunk(128 * kKiB, 'c');
  counts().splices = 0;
  std::size_t got = 0;
  for (std::size_t sent = 0; sent < kMiB; sent += chunk.size()) {
    ASSERT_EQ(::send(stream.client.get(), chunk.data(), chunk.size(), 0),
              static_cast<ssize_t>(chunk.size()));
    host.settle();
    got += receiveAll(stream.server.get());
  }
  EXPECT_EQ(got, kMiB);
  EXPECT_EQ(host.counters().bytesUp, kMiB);
  EXPECT_EQ(host.counters().copies, 0u);
  EXPECT_LE(counts().splices, 24u) << "eight pieces, three calls each";
}

// A source that never runs dry and a sink that is never full: each turn ends, and in few calls.
TEST(RelayCost, ATurnIsBounded) {
  Host host;
  Stream stream(host);
  counts() = {.splices = 0, .endless = true, .allocated = counts().allocated};
  ASSERT_EQ(::send(stream.client.get(), "x", 1, 0), 1);
  host.settle();
  for (std::uint64_t turn = 1; turn <= 5; ++turn) {
    EXPECT_EQ(host.resumes, static_cast<int>(turn)) << "asks for another turn, and waits for it";
    EXPECT_EQ(host.counters().bytesUp, turn * kMiB);
    stream.flow->proceed();
  }
  counts().endless = false;
  EXPECT_LE(counts().splices, 6u * 8 + 1) << "256 KiB a call";
  EXPECT_EQ(host.pipes().inUse(), 0u) << "between its turns it holds none";
}

TEST(RelayCost, AClientThatReadsNothingHoldsItsShareOfPipes) {
  Host host;
  host.limits().pipesPerClient = 2;
  std::vector<Stream> unread;
  const std::string chunk(64 * kKiB, 'x');
  for (int i = 0; i < 5; ++i) {
    unread.emplace_back(host);
    while (::send(unread.back().server.get(), chunk.data(), chunk.size(), 0) > 0) host.settle();
  }
  EXPECT_EQ(host.pipes().inUse(), 2u);
  EXPECT_EQ(host.shares[0].pipes, 2u);
  host.who = 1;
  Stream neighbour(host);
  const std::uint64_t copies = host.counters().copies;
  ASSERT_GT(::send(neighbour.server.get(), chunk.data(), chunk.size(), 0), 0);
  host.settle();
  EXPECT_GT(receiveAll(neighbour.client.get()), 0u);
  EXPECT_EQ(host.counters().copies, copies) << "the neighbour has pipes";
  // The control: with a share as large as the pool, all five hold one.
  Host other;
  other.limits().pipesPerClient = other.limits().pipes;
  std::vector<Stream> greedy;
  for (int i = 0; i < 5; ++i) {
    greedy.emplace_back(other);
    while (::send(greedy.back().server.get(), chunk.data(), chunk.size(), 0) > 0) other.settle();
  }
  EXPECT_EQ(other.pipes().inUse(), 5u);
}

TEST(RelayCost, TheFlowsOfOneClientShareOneBudget) {
  Host host;
  Stream stream(host);
  counts() = {.splices = 0, .endless = true, .allocated = counts().allocated};
  ASSERT_EQ(::send(stream.client.get(), "x", 1, 0), 1);
  host.shares[0].waiting = 3;
  host.settle();
  EXPECT_EQ(host.counters().bytesUp, kMiB / 4);
  host.shares[0].waiting = 10'000;
  stream.flow->proceed();
  EXPECT_EQ(host.counters().bytesUp, kMiB / 4 + 32 * kKiB) << "the least that is worth a turn";
  counts().endless = false;
}

}  // namespace
}  // namespace orrery::tproxy
