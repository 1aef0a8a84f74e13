// The TCP side: accepts what the firewall steers here, decides by the original destination, and
// owns the flows.
//
// Accepting pauses when descriptors or the limit of connections are used up, and goes on when a
// flow ends: waiting clients stay in the listen queue, nothing spins. (Only if descriptors lack and
// no flow is left to end, a timer tries again.)
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/tproxy/config.h"
#include "runtime/tproxy/counters.h"
#include "runtime/tproxy/loop.h"
#include "runtime/tproxy/name_table.h"
#include "runtime/tproxy/relay/flow.h"
#include "sandbox/base/fd.h"
#include "sandbox/base/result.h"

namespace orrery::tproxy {

// True for addresses that must not be asked of an exit: private, loopback, link-local, shared
// (RFC 6890), multicast and reserved ones, and the LAN's own.
bool isRefused(Ipv4 destination, const Prefix4& lan);

// So that a client cannot flood the log by being refused.
inline constexpr std::chrono::seconds kLimitNotice{60};

class Relay final : public FlowHost {
 public:
  struct Observer {
    virtual ~Observer() = default;
    virtual void onUpstream(bool reachable, std::string_view problem) = 0;
    // A client was refused for having its share already; at most once in kLimitNotice.
    virtual void onClientLimit(Ipv4 client, std::uint64_t refused) = 0;
  };

  // `token` is the password of isolated streams: no client can guess another's circuit.
  Relay(Loop& loop, const Config& config, NameTable& names, Counters& counters, std::string token,
        Observer& observer);
  ~Relay() override;
  Status start(UniqueFd listener);

  std::size_t open() const { return flows_.size(); }
  std::size_t cutAll();
  void setEpoch(std::string epoch) { epoch_ = std::move(epoch); }

  Loop& loop() override { return loop_; }
  PipePool& pipes() override { return pipes_; }
  Counters& counters() override { return counters_; }
  const Config& config() const override { return config_; }
  void resumeLater(Flow& flow) override;
  void upstreamState(bool reachable, std::string_view problem) override;
  void flowEnded(Flow& flow) override;

 private:
  void onAccept(Ready ready);
  void onResume(Ready ready);
  void onRetry(Ready ready);
  bool acceptOne();
  void admit(UniqueFd client, Ipv4 source, Ipv4 destination, std::uint16_t port);
  void refuse(UniqueFd client, End reason);
  void tellLimit(Ipv4 client);
  void startFlow(UniqueFd client, Ipv4 source, const Target& target, std::optional<Ipv4> pinned);
  std::optional<Credentials> credentialsFor(Ipv4 client) const;
  void pauseAccepting();
  void resumeAccepting();

  Loop& loop_;
  const Config& config_;
  NameTable& names_;
  Counters& counters_;
  std::string token_;
  Observer& observer_;
  std::string epoch_ = "0";
  PipePool pipes_;
  UniqueFd listener_;
  UniqueFd spare_;  // the next flow's upstream socket
  Watch acceptWatch_;
  Timer resumeTimer_;
  Timer retryTimer_;
  bool paused_ = false;
  std::chrono::milliseconds nextNotice_{};
  enum class Reach { unknown, yes, no } reach_ = Reach::unknown;
  std::unordered_map<std::uint32_t, ClientShare> perClient_;  // by address; flows refer to them
  std::vector<std::unique_ptr<Flow>> flows_;
  std::vector<Flow*> toResume_;
};

}  // namespace orrery::tproxy
