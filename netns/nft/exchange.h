// The netlink conversation with nf_tables: one batch, one dump. Private to netns/nft.
//
// The kernel answers in the sendmsg(2) call itself, so after a batch every reply is in the receive
// queue already: it is read without waiting. Only the batch's last operation asks for an
// acknowledgement (failures are reported without being asked for), so that a large batch cannot
// overrun the queue.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "netns/nft/nft.h"

extern "C" {
struct nlmsghdr;
}

namespace orrery::nft {

class Batch {
 public:
  // With a generation of the ruleset: commit() fails with ERESTART if it is another by then.
  explicit Batch(NftSocket& socket, std::optional<std::uint32_t> generation = std::nullopt);
  // A message with its nfgenmsg header and at least kRoom bytes behind it. The pointer holds until
  // the next add(). `label` names the operation in errors.
  nlmsghdr* add(std::string label, std::uint16_t type, std::uint8_t family, std::uint16_t flags);
  bool empty() const { return labels_.empty(); }
  // All of it takes effect or nothing does. May be called once.
  Status commit();

  // Bytes; netlink attributes end at 64 KiB.
  static constexpr std::size_t kRoom = std::size_t{48} * 1024;

 private:
  void advance();
  std::string labelOf(std::uint32_t sequence) const;
  Status readReplies(std::uint32_t lastSequence);

  NftSocket& socket_;
  std::vector<char> buffer_;
  std::size_t used_ = 0;  // finished bytes
  std::size_t last_ = 0;  // start of the newest message
  std::size_t messages_ = 0;
  std::uint32_t beginSequence_ = 0;
  std::vector<std::pair<std::uint32_t, std::string>> labels_;
};

// The number of the present ruleset: each commit of anybody makes a new one.
Result<std::uint32_t> generation(NftSocket& socket);

// Has the kernel load the module of an xtables match. A rule that uses one loads it too, but by a
// name with the rule's family in it: xt_bpf is known as ipt_bpf and ip6t_bpf, not as ebt_bpf
// (xt_request_find_match(), net/netfilter/x_tables.c), so a bridge's rule alone would fail. What
// the kernel answers says nothing of use: a rule tells whether the match is there.
Status loadMatch(NftSocket& socket, const char* name, std::uint32_t revision);

// Sends one request (NLM_F_DUMP or a single get) and calls `each` for every answer. True if the
// kernel marked the dump as interrupted.
Result<bool> ask(NftSocket& socket, std::uint16_t type, std::uint8_t family, bool dump,
                 const std::function<void(nlmsghdr*)>& fill,
                 const std::function<void(const nlmsghdr*)>& each);

}  // namespace orrery::nft
