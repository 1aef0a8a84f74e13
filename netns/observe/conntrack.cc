// libnetfilter_conntrack opens its socket in the thread's namespace, so it is used inside.
#include "netns/observe/conntrack.h"

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <memory>
#include <vector>

#include "netns/namespace/netns.h"

namespace orrery {
namespace {

struct Closer {
  void operator()(nfct_handle* h) const noexcept { (void)::nfct_close(h); }
};
using Handle = std::unique_ptr<nfct_handle, Closer>;
struct Destroyer {
  void operator()(nf_conntrack* c) const noexcept { ::nfct_destroy(c); }
};
using Flow = std::unique_ptr<nf_conntrack, Destroyer>;

Result<Handle> openHandle() {
  Handle handle(::nfct_open(CONNTRACK, 0));
  if (!handle) return sysError(errno, "open connection tracking");
  return handle;
}

using Flows = std::vector<Flow>;

int keep(nf_conntrack_msg_type, nf_conntrack* flow, void* context) {
  static_cast<Flows*>(context)->emplace_back(flow);
  return NFCT_CB_STOLEN;  // the flow is ours now
}

Result<Flows> dumpFlows(const Handle& handle) {
  Flows flows;
  if (::nfct_callback_register(handle.get(), NFCT_T_ALL, keep, &flows) != 0)
    return sysError(errno, "read connection tracking");
  const std::uint8_t family = AF_INET;
  const int rc = ::nfct_query(handle.get(), NFCT_Q_DUMP, &family);
  const int err = errno;
  ::nfct_callback_unregister(handle.get());
  if (rc != 0) return sysError(err, "read connection tracking");
  return flows;
}

}  // namespace

Status flushConntrack(const NetnsFd& netns) {
  return inNetns(netns, []() -> Status {
    ORRERY_TRY_ASSIGN(const Handle handle, openHandle());
    const std::uint8_t family = AF_UNSPEC;
    if (::nfct_query(handle.get(), NFCT_Q_FLUSH, &family) != 0)
      return sysError(errno, "flush connection tracking");
    return {};
  });
}

Result<std::size_t> deleteConntrackOf(const NetnsFd& netns, Ipv4 address) {
  return inNetns(netns, [&]() -> Result<std::size_t> {
    ORRERY_TRY_ASSIGN(const Handle handle, openHandle());
    ORRERY_TRY_ASSIGN(const Flows flows, dumpFlows(handle));
    const std::uint32_t wanted = htonl(address.value);
    std::size_t deleted = 0;
    for (const Flow& flow : flows) {
      if (::nfct_get_attr_u32(flow.get(), ATTR_ORIG_IPV4_SRC) != wanted &&
          ::nfct_get_attr_u32(flow.get(), ATTR_ORIG_IPV4_DST) != wanted)
        continue;
      if (::nfct_query(handle.get(), NFCT_Q_DESTROY, flow.get()) == 0)
        ++deleted;
      else if (errno != ENOENT)  // it ended by itself
        return sysError(errno, "forget a flow of {}", toString(address));
    }
    return deleted;
  });
}

Result<std::size_t> countConntrack(const NetnsFd& netns) {
  return inNetns(netns, []() -> Result<std::size_t> {
    ORRERY_TRY_ASSIGN(const Handle handle, openHandle());
    ORRERY_TRY_ASSIGN(const Flows flows, dumpFlows(handle));
    return flows.size();
  });
}

}  // namespace orrery
