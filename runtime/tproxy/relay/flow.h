// One connection of a client and its stream through the upstream.
//
//   dialling ──connected──► handshake ──reply 0──► relaying ──both ends shut──► (ended)
//      └──────── failure, time-out, cut in any state: the client gets a reset ──────┘
//
// While dialling and in the handshake nothing is read from the client: its bytes wait in its
// socket, and whoever speaks first is served. Relaying is two independent directions. Each takes a
// pipe from the pool when bytes arrive, splices them in and out, and gives the pipe back when it is
// empty. A direction whose receiver is full keeps its bytes in the pipe and reads no more:
// back-pressure. When no pipe is to be had, bytes are copied by peeking, so nothing has to be kept
// in between. A client whose receivers are all full holds its own share of pipes and no more.
//
// A flow that has moved its budget of bytes lets the others have a turn first. The flows of one
// client share the budget of one, so that many of them are no quicker than another client's single.
//
// Both descriptors are edge-triggered; readable/writable remember an edge until EAGAIN.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "runtime/tproxy/config.h"
#include "runtime/tproxy/counters.h"
#include "runtime/tproxy/loop.h"
#include "runtime/tproxy/relay/client_share.h"
#include "runtime/tproxy/relay/pipe_pool.h"
#include "runtime/tproxy/socks5.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

class Flow;

// What flows share and whom they report to.
class FlowHost {
 public:
  virtual ~FlowHost() = default;
  virtual Loop& loop() = 0;
  virtual PipePool& pipes() = 0;
  virtual Counters& counters() = 0;
  virtual const Config& config() const = 0;
  // Calls flow.proceed() after other descriptors had their turn.
  virtual void resumeLater(Flow& flow) = 0;
  virtual void upstreamState(bool reachable, std::string_view problem) = 0;
  virtual void flowEnded(Flow& flow) = 0;  // destroys it
};

class Flow {
 public:
  // `upstream` is a socket to dial from. `share` is the client's, and outlives the flow.
  Flow(FlowHost& host, ClientShare& share, UniqueFd client, UniqueFd upstream, Ipv4 clientAddress);
  ~Flow();
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  // Starts dialling. May end, and so destroy, the flow before it returns.
  void start(const Target& target, const std::optional<Credentials>& credentials);
  void proceed();
  void end(End reason);  // destroys the flow

  Ipv4 clientAddress() const { return clientAddress_; }
  ClientShare& share() const { return share_; }
  void setPinnedName(Ipv4 address) { pinnedName_ = address; }
  std::optional<Ipv4> pinnedName() const { return pinnedName_; }
  // Where the host keeps it.
  std::size_t index = 0;
  bool waitsForResume = false;

 private:
  enum class Phase { dialling, handshake, relaying };
  enum class Step { blocked, more, failed };
  struct Side {
    UniqueFd fd;
    Watch watch;
    bool readable = false;
    bool writable = false;
    End failure = End::clientReset;  // why the flow ends if this side fails
  };
  struct Direction {
    Pipe pipe;
    std::size_t inPipe = 0;  // bytes
    bool eof = false;        // the sender has shut
    bool shut = false;       // and the receiver has been told
    std::uint64_t* bytes = nullptr;
  };

  void onClient(Ready ready);
  void onUpstream(Ready ready);
  void onTimer(Ready ready);
  void onRetry(Ready ready);
  void dialUpstream();
  void connected();
  void shakeHands();
  bool sendHandshake();
  bool readHandshake();
  void relay();
  Step pump(Direction& direction, Side& from, Side& to);
  Step fill(Direction& direction, Side& from);
  Step drain(Direction& direction, Side& to);
  Step copy(Direction& direction, Side& from, Side& to);
  Step failed(const Side& side);
  void armIdle(std::chrono::milliseconds left);
  bool takePipe(Direction& direction);
  void returnPipe(Direction& direction);
  std::size_t budget() const;

  FlowHost& host_;
  ClientShare& share_;
  Ipv4 clientAddress_;
  std::optional<Ipv4> pinnedName_;
  Phase phase_ = Phase::dialling;
  End failure_ = End::clientReset;
  std::unique_ptr<Socks5Handshake> handshake_;
  Side client_;
  Side upstream_;
  Direction up_;
  Direction down_;
  Timer timer_;
  Timer retry_;
  std::chrono::milliseconds lastActive_{};
};

}  // namespace orrery::tproxy
