#include "netns/tc/traffic_control.h"

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "netns/namespace/netns.h"

namespace orrery {
namespace {

// enum bpf_attach_type (linux/bpf.h); those of TCX are of Linux 6.6.
constexpr std::uint32_t kFlowDissector = 17, kSocketLookup = 36, kTcxIngress = 46, kTcxEgress = 47;

tcmsg headerFor(int index, std::uint32_t parent) {
  tcmsg head{};
  head.tcm_family = AF_UNSPEC;
  head.tcm_ifindex = index;
  head.tcm_parent = parent;
  return head;
}

Result<std::vector<Qdisc>> listQdiscs(Rtnl& rtnl) {
  std::vector<Qdisc> out;
  ORRERY_TRY(rtnl.dump(
      NlMessage("list queueing disciplines", RTM_GETQDISC, 0, headerFor(0, 0)),
      [&] { out.clear(); },
      [&](const NlReply& reply) -> Status {
        if (reply.type != RTM_NEWQDISC) return {};
        ORRERY_TRY_ASSIGN(Qdisc qdisc, parseQdisc(reply.payload));
        out.push_back(std::move(qdisc));
        return {};
      }));
  return out;
}

Result<std::vector<TcFilter>> listFilters(Rtnl& rtnl, int index, std::uint32_t parent) {
  std::vector<TcFilter> out;
  Status dumped = rtnl.dump(
      NlMessage("list filters", RTM_GETTFILTER, 0, headerFor(index, parent)), [&] { out.clear(); },
      [&](const NlReply& reply) -> Status {
        if (reply.type != RTM_NEWTFILTER) return {};
        ORRERY_TRY_ASSIGN(TcFilter filter, parseTcFilter(reply.payload));
        out.push_back(std::move(filter));
        return {};
      });
  // A link or qdisc may go meanwhile.
  if (!dumped && dumped.error().err != ENODEV && dumped.error().err != EINVAL)
    return tl::unexpected<Error>(std::move(dumped).error());
  return out;
}

// Where filters of a qdisc hang. One that the kernel chose has no handle: 0 means the root's.
std::vector<std::uint32_t> placesOf(const Qdisc& qdisc) {
  if (qdisc.parent != TC_H_CLSACT) return {qdisc.handle};
  return {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
          qdisc.handle};  // clsact's two, ingress's one
}

Result<std::vector<int>> linksWithXdp(Rtnl& rtnl, std::vector<int>& links) {
  std::vector<int> out;
  ifinfomsg head{};
  ORRERY_TRY(rtnl.dump(
      NlMessage("list links", RTM_GETLINK, 0, head),
      [&] {
        out.clear();
        links.clear();
      },
      [&](const NlReply& reply) -> Status {
        const auto link = readValue<ifinfomsg>(reply.payload);
        if (reply.type != RTM_NEWLINK || !link) return {};
        links.push_back(link->ifi_index);
        const Attributes attributes(afterHeader(reply.payload, sizeof *link));
        const auto mode = attributes.nested(IFLA_XDP).value<std::uint8_t>(IFLA_XDP_ATTACHED);
        if (mode.value_or(XDP_ATTACHED_NONE) != XDP_ATTACHED_NONE) out.push_back(link->ifi_index);
        return {};
      }));
  return out;
}

// How many programs there are; `target` is a link of the calling thread's namespace, or a
// namespace. A kernel that does not know the hook has none.
Result<std::uint32_t> programsAt(std::uint32_t target, std::uint32_t hook) {
  bpf_attr query{};
  query.query.target_fd = target;  // and ifindex, which the same place holds
  query.query.attach_type = hook;
  if (::syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) == 0) return query.query.prog_cnt;
  if (errno == EPERM || errno == EACCES) return sysError(errno, "ask for BPF programs");
  return 0;  // EINVAL, ENODEV, ENOSYS
}

Status addPrograms(const NetnsFd& netns, const std::vector<int>& links,
                   std::vector<AttachedBpf>& out) {
  return inNetns(netns, [&]() -> Status {
    for (const int link : links)
      for (const auto& [hook, name] :
           {std::pair(kTcxIngress, "tcx ingress"), std::pair(kTcxEgress, "tcx egress")}) {
        ORRERY_TRY_ASSIGN(const auto count, programsAt(static_cast<std::uint32_t>(link), hook));
        if (count != 0) out.push_back({link, name});
      }
    for (const auto& [hook, name] :
         {std::pair(kFlowDissector, "flow dissector"), std::pair(kSocketLookup, "socket lookup")}) {
      ORRERY_TRY_ASSIGN(const auto count,
                        programsAt(static_cast<std::uint32_t>(netns.get()), hook));
      if (count != 0) out.push_back({0, name});
    }
    return {};
  });
}

}  // namespace

Result<Qdisc> parseQdisc(Bytes payload) {
  const auto head = readValue<tcmsg>(payload);
  if (!head) return sysError(EBADMSG, "qdisc message malformed");
  const Attributes attributes(afterHeader(payload, sizeof *head));
  return Qdisc{head->tcm_ifindex, attributes.string(TCA_KIND).value_or(""), head->tcm_handle,
               head->tcm_parent};
}

Result<TcFilter> parseTcFilter(Bytes payload) {
  const auto head = readValue<tcmsg>(payload);
  if (!head) return sysError(EBADMSG, "filter message malformed");
  const Attributes attributes(afterHeader(payload, sizeof *head));
  return TcFilter{head->tcm_ifindex, attributes.string(TCA_KIND).value_or(""), head->tcm_parent,
                  static_cast<std::uint16_t>(head->tcm_info >> 16)};
}

Result<TrafficControl> observeTrafficControl(Rtnl& rtnl) {
  TrafficControl seen;
  ORRERY_TRY_ASSIGN(seen.qdiscs, listQdiscs(rtnl));
  for (const Qdisc& qdisc : seen.qdiscs)
    for (const std::uint32_t place : placesOf(qdisc)) {
      ORRERY_TRY_ASSIGN(const auto filters, listFilters(rtnl, qdisc.index, place));
      for (const TcFilter& filter : filters)
        if (std::ranges::find(seen.filters, filter) == seen.filters.end())
          seen.filters.push_back(filter);
    }
  std::vector<int> links;
  ORRERY_TRY_ASSIGN(const auto xdp, linksWithXdp(rtnl, links));
  for (const int link : xdp) seen.programs.push_back({link, "XDP"});
  ORRERY_TRY(addPrograms(rtnl.netns(), links, seen.programs));
  return seen;
}

bool isPlainQueue(const Qdisc& qdisc) {
  static constexpr std::array kPlain = {"noqueue",  "noop", "mq",  "pfifo_fast", "pfifo", "bfifo",
                                        "fq_codel", "fq",   "sfq", "cake",       "fq_pie"};
  return std::ranges::find(kPlain, qdisc.kind) != kPlain.end();
}

}  // namespace orrery
