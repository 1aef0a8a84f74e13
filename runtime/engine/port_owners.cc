#include "runtime/engine/port_owners.h"

#include <algorithm>
#include <iterator>

#include "runtime/control/paths.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

using nft::SetElement;

std::string recordPath(const RouterId& lan, const std::string& root, const std::string& port) {
  return fmt::format("{}/{}", RouterPaths(lan, root).departed, port);
}

// A line each, "MAC address"; the file is named after the port.
std::string toLine(const PortOwner& owner) {
  return fmt::format("{} {}\n", toString(owner.mac), toString(owner.address));
}

Result<std::vector<PortOwner>> parseRecord(const std::string& port, std::string_view text) {
  std::vector<PortOwner> owners;
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    const auto words = splitWords(line);
    if (words.size() != 2) return error("'{}' is no MAC and address", line);
    PortOwner owner;
    ORRERY_TRY_ASSIGN(owner.port, IfName::parse(port));
    ORRERY_TRY_ASSIGN(owner.mac, parseMac(words[0]));
    ORRERY_TRY_ASSIGN(owner.address, parseIpv4(words[1]));
    owners.push_back(owner);
  }
  return owners;
}

Result<std::vector<PortOwner>> readRecord(const RouterId& lan, const std::string& root,
                                          const std::string& port) {
  const std::string path = recordPath(lan, root, port);
  auto text = readFile(path);
  if (!text && text.error().err == ENOENT) return std::vector<PortOwner>{};
  if (!text) return tl::unexpected<Error>(std::move(text).error());
  auto owners = parseRecord(port, *text);
  if (!owners) return wrap(std::move(owners).error(), "'{}'", path);
  return owners;
}

std::vector<SetElement> entriesOf(const std::vector<PortOwner>& owners) {
  std::vector<SetElement> all;
  for (PortOwner owner : owners) {
    owner.router = true;  // the record does not say; what is not there need not be removed
    for (SetElement& entry : guardEntries(owner)) all.push_back(std::move(entry));
  }
  return all;
}

// Only what is there: to remove what is not takes an RCU grace period (__nf_tables_abort()).
Status removePresent(NftSocket& rules, const std::vector<SetElement>& present,
                     std::vector<SetElement> unwanted) {
  std::erase_if(unwanted, [&](const SetElement& entry) {
    return std::ranges::find(present, entry) == present.end();
  });
  return removeFromSets(rules, unwanted);
}

// A router may have had the address, and his exemption may not have been removed yet.
Status removeExemption(NftSocket& rules, Ipv4 address) {
  ORRERY_TRY_ASSIGN(const auto dump, dumpCountedRuleset(rules));
  return removePresent(rules, dump.elements, {exemptionOf(address)});
}

// Entries that name no port may belong to a present owner too: a machine that has moved to another
// port, a router that was given the address of one before it.
Status removeStale(NftSocket& rules, std::vector<SetElement> stale) {
  if (stale.empty()) return {};
  ORRERY_TRY_ASSIGN(const auto dump, dumpCountedRuleset(rules));
  std::vector<SetElement> present;
  std::ranges::copy_if(dump.elements, std::back_inserter(present), [&](const SetElement& entry) {
    return std::ranges::find(stale, entry) == stale.end();
  });
  std::erase_if(stale, [&](const SetElement& entry) { return isGuardOfAnother(entry, present); });
  return removePresent(rules, dump.elements, std::move(stale));
}

}  // namespace

Status admitOwner(NftSocket& rules, const RouterId& lan, const PortOwner& owner,
                  const std::string& root) {
  const auto wanted = guardEntries(owner);
  if (const auto ports = listDirectory(RouterPaths(lan, root).departed);
      ports && ports->size() >= kMostDepartures)
    ORRERY_TRY(sweepDepartures(rules, lan, root));
  ORRERY_TRY_ASSIGN(const auto departed, readRecord(lan, root, owner.port.str()));
  std::vector<SetElement> stale = entriesOf(departed);
  std::erase_if(stale, [&](const SetElement& entry) {
    return std::ranges::find(wanted, entry) != wanted.end();
  });
  ORRERY_TRY(removeStale(rules, std::move(stale)));
  if (!owner.router && hasDepartures(lan, root)) ORRERY_TRY(removeExemption(rules, owner.address));
  Status added = addToSets(rules, wanted);
  if (!added && added.error().err == ENFILE && hasDepartures(lan, root)) {
    ORRERY_TRY(sweepDepartures(rules, lan, root));
    added = addToSets(rules, wanted);
  }
  ORRERY_TRY(std::move(added));
  return removeFile(recordPath(lan, root, owner.port.str()));
}

Status noteDeparture(const RouterId& lan, const PortOwner& owner, const std::string& root) {
  const RouterPaths paths(lan, root);
  if (!pathExists(paths.runDir)) return {};
  ORRERY_TRY_ASSIGN(auto departed, readRecord(lan, root, owner.port.str()));
  if (std::ranges::find(departed, owner) != departed.end()) return {};
  departed.push_back(owner);
  std::string text;
  for (const PortOwner& one : departed) text += toLine(one);
  ORRERY_TRY(makeDirectories(paths.departed));
  return writeFileAtomic(recordPath(lan, root, owner.port.str()), text);
}

bool hasDepartures(const RouterId& lan, const std::string& root) {
  return pathExists(RouterPaths(lan, root).departed);
}

Status sweepDepartures(NftSocket& rules, const RouterId& lan, const std::string& root) {
  const std::string directory = RouterPaths(lan, root).departed;
  ORRERY_TRY_ASSIGN(const auto ports, listDirectory(directory));
  std::vector<PortOwner> departed;
  for (const std::string& port : ports) {
    if (port.starts_with('.')) continue;  // a record that a crash kept from being whole
    ORRERY_TRY_ASSIGN(const auto owners, readRecord(lan, root, port));
    departed.insert(departed.end(), owners.begin(), owners.end());
  }
  ORRERY_TRY(removeStale(rules, entriesOf(departed)));
  for (const std::string& port : ports) ORRERY_TRY(removeFile(recordPath(lan, root, port)));
  return removeDirectory(directory);
}

}  // namespace orrery
