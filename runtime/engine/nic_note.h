// What the journal keeps of a NIC, as netns/nic takes it.
#pragma once

#include "netns/nic/nic.h"
#include "routers/plan/resource.h"

namespace orrery {

inline NicNote nicNoteOf(const NicResource& r) {
  NicNote note;
  note.name = r.hostName;
  note.mac = r.hostMac;
  note.mtu = r.hostMtu;
  note.up = r.hostUp;
  if (r.permanentMac != Mac{}) note.permanentMac = r.permanentMac;
  return note;
}

}  // namespace orrery
