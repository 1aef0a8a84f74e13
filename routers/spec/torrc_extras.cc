#include "routers/spec/torrc_extras.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "routers/spec/field_reader.h"
#include "routers/spec/reader.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

std::vector<std::string> toList(std::string_view names) {
  std::vector<std::string> out;
  for (const std::string_view name : splitWords(names)) out.emplace_back(name);
  return out;
}

// Choice of nodes, timing, and a private test network. None opens a port, reads or writes a path,
// runs a program or lets traffic out of Tor.
const std::vector<std::string>& allowed() {
  static const std::vector<std::string> kAllowed = toList(
      "EntryNodes ExitNodes MiddleNodes ExcludeNodes ExcludeExitNodes StrictNodes NodeFamily "
      "GeoIPExcludeUnknown EnforceDistinctSubnets UseEntryGuards NumEntryGuards "
      "NumPrimaryGuards NumDirectoryGuards GuardLifetime UseBridges Bridge "
      "UpdateBridgesFromAuthority FascistFirewall FirewallPorts ReachableAddresses "
      "ReachableORAddresses ReachableDirAddresses CircuitBuildTimeout LearnCircuitBuildTimeout "
      "CircuitsAvailableTimeout CircuitStreamTimeout SocksTimeout MaxCircuitDirtiness "
      "NewCircuitPeriod MaxClientCircuitsPending LongLivedPorts TrackHostExits "
      "TrackHostExitsExpire ConnectionPadding ReducedConnectionPadding CircuitPadding "
      "ReducedCircuitPadding KeepalivePeriod NumCPUs AvoidDiskWrites SafeLogging "
      "ClientRejectInternalAddresses ClientDNSRejectInternalAddresses "
      "ExtendAllowPrivateAddresses DirAllowPrivateAddresses AllowNonRFC953Hostnames "
      "PathsNeededToBuildCircuits FetchDirInfoEarly FetchDirInfoExtraEarly "
      "FetchUselessDescriptors UseMicrodescriptors ClientUseIPv4 DormantCanceledByStartup "
      "DormantOnFirstStartup DormantClientTimeout DormantTimeoutEnabled "
      "ClientBootstrapConsensusAuthorityDownloadInitialDelay "
      "ClientBootstrapConsensusFallbackDownloadInitialDelay "
      "ClientBootstrapConsensusAuthorityOnlyDownloadInitialDelay "
      "ClientBootstrapConsensusMaxInProgressTries DirAuthority AlternateDirAuthority "
      "FallbackDir UseDefaultFallbackDirs TestingTorNetwork AssumeReachable "
      "TestingClientDownloadInitialDelay TestingClientConsensusDownloadInitialDelay "
      "TestingBridgeDownloadInitialDelay TestingClientMaxIntervalWithoutRequest "
      "TestingEnableConnBwEvent TestingEnableCellStatsEvent");
  return kAllowed;
}

struct Refusal {
  const char* name;
  const char* reason;
};
constexpr Refusal kRefused[] = {
    {"ClientTransportPlugin", "it runs a program"},
    {"ServerTransportPlugin", "it runs a program"},
    {"PortForwardingHelper", "it runs a program"},
    {"%include", "it reads another file of options"},
    {"SocksPort", "the router opens the ports itself"},
    {"ControlPort", "the router opens the ports itself"},
    {"ControlSocket", "the router opens the ports itself"},
    {"DNSPort", "the router opens the ports itself"},
    {"TransPort", "the router opens the ports itself"},
    {"NATDPort", "the router opens the ports itself"},
    {"HTTPTunnelPort", "the router opens the ports itself"},
    {"MetricsPort", "the router opens the ports itself"},
    {"ORPort", "a star is a client, not a relay"},
    {"DirPort", "a star is a client, not a relay"},
    {"ExitRelay", "a star is a client, not a relay"},
    {"BridgeRelay", "a star is a client, not a relay"},
    {"HiddenServiceDir", "a star offers no onion services"},
    {"DataDirectory", "the router decides the paths"},
    {"CacheDirectory", "the router decides the paths"},
    {"Log", "the router keeps the log"},
    {"PidFile", "the router decides the paths"},
    {"User", "the sandbox has a user of its own"},
    {"Sandbox", "the sandbox is made by the router"},
    {"RunAsDaemon", "the router supervises the process"},
    {"HTTPSProxy", "it would lead Tor to another address"},
    {"Socks4Proxy", "it would lead Tor to another address"},
    {"Socks5Proxy", "it would lead Tor to another address"},
    {"TCPProxy", "it would lead Tor to another address"},
    {"ClientUseIPv6", "routers speak IPv4 alone"},
};

// tor compares option names without regard to case.
bool sameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return fold(x) == fold(y);
  });
}

class TorrcReader {
 public:
  TorrcReader(const std::string& path, const AuxiliaryFile& file)
      : source_(path, file.text), reporter_(source_, errors_) {}

  tl::expected<std::string, Diagnostics> read(const AuxiliaryFile& file, unsigned user) {
    auto owner = checkOwnership(source_.file(), file, user, false);
    if (!owner) reporter_.error(Span{}, owner.error().message);
    if (source_.text().size() > kMaxDefinitionSize) {
      reporter_.error(Span{}, "this is not a list of options for tor: too large");
      return tl::unexpected(std::move(errors_));
    }
    for (std::size_t i = 1; i <= source_.lineCount(); ++i) readLine(i);
    if (!errors_.empty()) return tl::unexpected(std::move(errors_));
    return std::move(text_);
  }

 private:
  void readLine(std::size_t number) {
    const std::string line = source_.line(number);
    // A '#' begins a comment anywhere but within quotes; values that need one are not allowed here.
    const std::string_view text = trim(std::string_view(line).substr(0, line.find('#')));
    if (text.empty()) return;
    const std::size_t at = line.find_first_not_of(" \t");
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    const std::string name(text.substr(0, end));
    const Span span{number, at + 1, name.size()};
    const std::string_view value = trim(text.substr(end));
    const auto known = std::find_if(allowed().begin(), allowed().end(),
                                    [&](const std::string& a) { return sameName(a, name); });
    if (known == allowed().end()) return refuse(span, name);
    if (value.empty()) {
      reporter_.error(span, fmt::format("'{}' has no value", name));
    } else if (std::any_of(value.begin(), value.end(),
                           [](char c) { return c < ' ' || c == '\\' || c == '"' || c == 0x7f; })) {
      reporter_
          .error(span, fmt::format("the value of '{}' has a quote, a '\\' or a control byte", name))
          .hint = "write it on one line, without quotes";
    } else if (*known == "Bridge" && !(value[0] >= '0' && value[0] <= '9')) {
      reporter_.error(span, "a bridge with a pluggable transport is refused: it runs a program")
          .expected = "Bridge ADDRESS:PORT [FINGERPRINT]";
    } else {
      text_ += fmt::format("{} {}\n", *known, value);
    }
  }

  void refuse(const Span& span, const std::string& name) {
    for (const Refusal& refusal : kRefused) {
      if (!sameName(refusal.name, name)) continue;
      reporter_.error(span, fmt::format("the option '{}' is refused: {}", name, refusal.reason))
          .hint = "remove the line";
      return;
    }
    Diagnostic& d = reporter_.error(span, fmt::format("the option '{}' is not on the list", name));
    d.expected = "an option that chooses nodes or bridges, or is needed by a test network";
    d.hint = didYouMean(name, allowed());
  }

  Source source_;
  Diagnostics errors_;
  Reporter reporter_;
  std::string text_;
};

}  // namespace

tl::expected<std::string, std::vector<Diagnostic>> readTorrcExtras(const std::string& path,
                                                                   const AuxiliaryFile& file,
                                                                   unsigned user) {
  return TorrcReader(path, file).read(file, user);
}

}  // namespace orrery
