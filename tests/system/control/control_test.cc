// Server and client over real sockets: one thread runs the loop, the test is the peer.
#include <event2/event.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "runtime/control/client.h"
#include "runtime/control/portal.h"
#include "runtime/control/server.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

using namespace std::chrono_literals;
constexpr auto kPatience = 10s;

class Handler final : public ControlHandler {
 public:
  Result<Json> handle(const ControlRequest& request, const ControlPeer& peer) override {
    if (request.verb == verb::kStatus) return toJson(state);
    if (request.verb == "echo") return request.args;
    if (request.verb == "whoami") return Json(peer.uid);
    if (request.verb == "large") return Json(std::string(100'000, 'x'));
    if (request.verb == "fail") return error("it is broken");
    return sysError(ENOSYS, "no such request '{}'", request.verb);
  }
  RouterState state;
};

// The supervisor's side: a loop on a thread of its own, and a way to do things on it.
class ControlTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/orrery-control-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    directory_ = path;
    ASSERT_EQ(::pipe2(wake_, O_CLOEXEC | O_NONBLOCK), 0);
    base_ = event_base_new();
    wakeEvent_ = event_new(base_, wake_[0], EV_READ | EV_PERSIST, &ControlTest::onWake, this);
    event_add(wakeEvent_, nullptr);
    handler_.state.id = {"network0", "galaxy0"};
  }
  void TearDown() override {
    if (loop_.joinable()) {
      onLoop([this] {
        portal_.reset();
        server_.reset();
        event_base_loopbreak(base_);
      });
      loop_.join();
    }
    event_free(wakeEvent_);
    event_base_free(base_);
    (void)::close(wake_[0]);
    (void)::close(wake_[1]);
    ASSERT_TRUE(removeTree(directory_));
  }

  void start(ControlServerOptions options = {}) {
    options.path = socketPath();
    auto server = ControlServer::create(base_, std::move(options), handler_);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(server).value();
    startLoop();
  }
  void startLoop() {
    loop_ = std::thread([this] { event_base_dispatch(base_); });
  }
  // Runs `f` in the loop and waits for its end.
  void onLoop(std::function<void()> f) {
    std::unique_lock lock(mutex_);
    task_ = std::move(f);
    ASSERT_EQ(::write(wake_[1], "x", 1), 1);
    done_.wait(lock, [this] { return task_ == nullptr; });
  }
  std::string socketPath() const { return directory_ + "/control"; }

  UniqueFd rawConnect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socketPath().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // Everything until the server closes.
  static std::string readToEnd(int fd) {
    std::string text;
    char buffer[4096];
    for (;;) {
      pollfd p{fd, POLLIN, 0};
      if (::poll(&p, 1, 10'000) != 1) return text + "<timeout>";
      const ssize_t n = ::read(fd, buffer, sizeof buffer);
      if (n <= 0) return text;
      text.append(buffer, static_cast<std::size_t>(n));
    }
  }

  static Event phase(RouterPhase value) {
    RouterState state;
    state.id = {"network0", "galaxy0"};
    state.phase = value;
    return phaseEvent(state);
  }

  std::string directory_;
  event_base* base_ = nullptr;
  Handler handler_;
  std::unique_ptr<ControlServer> server_;
  std::unique_ptr<Portal> portal_;

 private:
  static void onWake(evutil_socket_t fd, short, void* self) {
    auto* test = static_cast<ControlTest*>(self);
    char byte;
    (void)!::read(fd, &byte, 1);
    const std::lock_guard lock(test->mutex_);
    test->task_();
    test->task_ = nullptr;
    test->done_.notify_all();
  }

  int wake_[2] = {-1, -1};
  event* wakeEvent_ = nullptr;
  std::thread loop_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::function<void()> task_;
};

TEST_F(ControlTest, RequestsAndTheirErrors) {
  start();
  auto client = ControlClient::connect(socketPath());
  ASSERT_TRUE(client) << client.error().message;
  const Json args = Json::object({{"a", "b"}});
  EXPECT_EQ(client->request({"echo", args}, after(kPatience)).value(), args);
  EXPECT_EQ(client->request({"whoami"}, after(kPatience))->asInteger(), ::getuid());
  EXPECT_EQ(client->request({"nonsense"}, after(kPatience)).error().err, ENOSYS);
  EXPECT_EQ(client->request({"fail"}, after(kPatience)).error().message, "it is broken");
  const auto large = client->request({"large"}, after(kPatience));
  ASSERT_FALSE(large);
  EXPECT_NE(large.error().message.find("longer than a line"), std::string::npos);
  EXPECT_TRUE(client->request({"echo"}, after(kPatience))) << "the connection lives on";
}

TEST_F(ControlTest, SocketFileIsPrivateAndVanishes) {
  start();
  struct stat st {};
  ASSERT_EQ(::stat(socketPath().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  onLoop([this] { server_.reset(); });
  EXPECT_FALSE(pathExists(socketPath()));
  EXPECT_EQ(ControlClient::connect(socketPath()).error().err, ENOENT);
}

TEST_F(ControlTest, AStaleSocketIsReplacedALivingOneIsNot) {
  start();
  ControlServerOptions second;
  second.path = socketPath();
  auto refused = ControlServer::create(base_, second, handler_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().err, EADDRINUSE);
  EXPECT_TRUE(pathExists(socketPath()));
  second.path = directory_ + "/stale";
  {
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    second.path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  onLoop([&] {
    const auto replaced = ControlServer::create(base_, second, handler_);
    EXPECT_TRUE(replaced) << replaced.error().message;
  });
}

TEST_F(ControlTest, MalformedLinesGetAnErrorAndTheNextOneWorks) {
  start();
  const UniqueFd fd = rawConnect();
  ASSERT_TRUE(writeAll(fd.get(), "hello\n\n{\"request\":\"echo\"}\n"));
  ASSERT_EQ(::shutdown(fd.get(), SHUT_WR), 0);
  const std::string text = readToEnd(fd.get());
  const auto lines = split(text, '\n');
  ASSERT_GE(lines.size(), 2u) << text;
  EXPECT_EQ(parseReply(lines[0])->code, control_code::kMalformed);
  EXPECT_TRUE(parseReply(lines[1])->ok);
}

TEST_F(ControlTest, ALineOf64KiBWithoutAnEndIsTheEnd) {
  start();
  const UniqueFd fd = rawConnect();
  ASSERT_TRUE(writeAll(fd.get(), std::string(kMaxControlLine, 'x')));
  const std::string text = readToEnd(fd.get());
  EXPECT_EQ(parseReply(trim(text))->code, control_code::kTooLarge) << text;
}

TEST_F(ControlTest, TheLargestLineThatFitsIsTaken) {
  start();
  const UniqueFd fd = rawConnect();
  std::string line = R"({"request":"whoami","args":{"pad":")";
  const std::string end = "\"}}\n";
  line += std::string(kMaxControlLine - line.size() - end.size(), 'x') + end;
  ASSERT_EQ(line.size(), kMaxControlLine);
  ASSERT_TRUE(writeAll(fd.get(), line));
  char reply[256] = {};
  ASSERT_GT(::read(fd.get(), reply, sizeof reply - 1), 0);
  EXPECT_TRUE(parseReply(trim(reply))->ok) << reply;
}

TEST_F(ControlTest, ThePeerBeyondTheLimitIsToldSo) {
  ControlServerOptions options;
  options.maxPeers = 3;
  start(std::move(options));
  std::vector<ControlClient> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(ControlClient::connect(socketPath()).value());
    ASSERT_TRUE(clients.back().request({"echo"}, after(kPatience)));
  }
  auto fourth = ControlClient::connect(socketPath());
  ASSERT_TRUE(fourth);
  const auto refused = fourth->request({"echo"}, after(kPatience));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().err, EBUSY) << refused.error().message;
  EXPECT_TRUE(clients.front().request({"echo"}, after(kPatience)));
}

TEST_F(ControlTest, SubscribersSeeEventsAndWaitForAPhase) {
  start();
  auto client = ControlClient::connect(socketPath());
  ASSERT_TRUE(client);
  std::thread supervisor([this] {
    for (;;) {  // until the subscriber is there
      bool there = false;
      onLoop([&] { there = server_->peerCount() == 1; });
      if (there) break;
    }
    Event progress;
    progress.router = {"network0", "galaxy0"};
    progress.name = kProgressEvent;
    onLoop([&] {
      server_->publish(progress);
      handler_.state.phase = RouterPhase::ready;
      handler_.state.reason = "all well";
      server_->publish(phase(RouterPhase::ready));
    });
  });
  const auto state = waitForPhase(*client, RouterPhase::ready, after(kPatience));
  supervisor.join();
  ASSERT_TRUE(state) << state.error().message;
  EXPECT_EQ(state->phase, RouterPhase::ready);
  EXPECT_EQ(state->reason, "all well");
}

TEST_F(ControlTest, WaitingEndsByDeadlineFailureAndDeath) {
  start();
  auto client = ControlClient::connect(socketPath());
  EXPECT_EQ(waitForPhase(*client, RouterPhase::ready, after(50ms)).error().err, ETIMEDOUT);
  onLoop([this] { handler_.state.phase = RouterPhase::failed; });
  auto second = ControlClient::connect(socketPath());
  EXPECT_EQ(waitForPhase(*second, RouterPhase::ready, after(kPatience))->phase,
            RouterPhase::failed);
  ASSERT_TRUE(second->subscribe(after(kPatience)));
  onLoop([this] { server_.reset(); });
  EXPECT_EQ(second->nextEvent(after(kPatience)).error().err, ECONNRESET);
}

TEST_F(ControlTest, ASlowReaderIsDroppedAndTheOthersAreNot) {
  ControlServerOptions options;
  options.maxUnread = 64u << 10;
  start(std::move(options));
  auto slow = ControlClient::connect(socketPath());
  auto quick = ControlClient::connect(socketPath());
  ASSERT_TRUE(slow->subscribe(after(kPatience)));
  ASSERT_TRUE(quick->subscribe(after(kPatience)));
  Event event;
  event.router = {"network0", "galaxy0"};
  event.name = "noise";
  event.fields.push_back({"text", std::string(2000, 'x')});
  std::size_t peers = 2;
  for (int i = 0; i < 1000 && peers == 2; ++i) {
    onLoop([&] {
      server_->publish(event);
      peers = server_->peerCount();
    });
    ASSERT_TRUE(quick->nextEvent(after(kPatience)));
  }
  EXPECT_EQ(peers, 1u);
  EXPECT_TRUE(quick->request({"echo"}, after(kPatience)));
}

TEST_F(ControlTest, AnotherUserIsRefusedByTheKernelsWord) {
  ControlServerOptions options;
  options.mode = 0666;  // so that only SO_PEERCRED stands in the way
  start(std::move(options));
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(9);
    auto client = ControlClient::connect(socketPath());
    if (!client) ::_exit(8);
    const auto reply = client->request({"echo"}, after(kPatience));
    ::_exit(!reply && reply.error().err == EPERM ? 0 : 7);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(ControlTest, ThePortalTakesFourVerbsAndRotates) {
  const RouterPaths paths(RouterId{"network0", "galaxy0"}, directory_);
  PortalOptions options;
  options.maxStatusBytes = 600;
  auto portal = Portal::create(base_, paths, options, handler_);
  ASSERT_TRUE(portal) << portal.error().message;
  portal_ = std::move(portal).value();
  startLoop();
  auto client = ControlClient::connect(paths.portalSocket);
  ASSERT_TRUE(client) << client.error().message;
  EXPECT_TRUE(client->request({"status"}, after(kPatience)));
  EXPECT_EQ(client->request({"stop"}, after(kPatience)).error().err, EPERM);
  EXPECT_EQ(client->request({"events"}, after(kPatience)).error().err, EPERM);
  onLoop([&] {
    for (int i = 0; i < 8; ++i) EXPECT_TRUE(portal_->record(phase(RouterPhase::ready)));
  });
  const auto text = readFile(paths.portalStatus);
  ASSERT_TRUE(text);
  EXPECT_LE(text->size(), 600u);
  EXPECT_TRUE(pathExists(paths.portalStatus + ".1"));
  const auto json = parseJson(split(*text, '\n').front());
  ASSERT_TRUE(json) << *text;
  EXPECT_FALSE((*json)["seconds"].isNull());
  struct stat st {};
  ASSERT_EQ(::stat(paths.portalStatus.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0644u);
}

}  // namespace
}  // namespace orrery
