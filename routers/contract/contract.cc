#include "routers/contract/contract.h"

#include <algorithm>

namespace orrery {
namespace {

bool inAny(const std::vector<Prefix4>& prefixes, Ipv4 address) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const Prefix4& p) { return p.contains(address); });
}

}  // namespace

bool Party::contains(Ipv4 address) const {
  return inAny(among, address) && !inAny(except, address);
}

const LinkContract* Contract::link(LinkSide side) const {
  for (const LinkContract& each : links)
    if (each.side == side) return &each;
  return nullptr;
}

const char* toString(ContractState state) {
  switch (state) {
    case ContractState::absent:
      return "absent";
    case ContractState::starting:
      return "starting";
    case ContractState::ready:
      return "ready";
    case ContractState::egressDown:
      return "egress down";
    case ContractState::restarting:
      return "restarting";
    case ContractState::paused:
      return "paused";
    case ContractState::supervisorDead:
      return "supervisor dead";
    case ContractState::stopping:
      return "stopping";
    case ContractState::destroyed:
      return "destroyed";
  }
  return "?";
}

const char* toString(LinkSide side) {
  switch (side) {
    case LinkSide::uplink:
      return "uplink";
    case LinkSide::tunnel:
      return "tunnel";
    case LinkSide::lan:
      return "lan";
  }
  return "?";
}

std::optional<LinkSide> parseLinkSide(std::string_view text) {
  for (const LinkSide side : kLinkSides)
    if (text == toString(side)) return side;
  return std::nullopt;
}

const char* toString(FrameForm form) {
  switch (form) {
    case FrameForm::arpRequest:
      return "ARP request";
    case FrameForm::arpReply:
      return "ARP reply";
    case FrameForm::ipv4:
      return "IPv4";
  }
  return "?";
}

}  // namespace orrery
