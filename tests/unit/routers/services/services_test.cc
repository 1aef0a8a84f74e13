// What each service is given, as golden files: a reviewer sees every change of a jail or a
// configuration. ORRERY_UPDATE_GOLDEN=1 rewrites them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "routers/services/service_spec.h"
#include "tests/support/sample_specs.h"

namespace orrery {
namespace {

constexpr std::uint32_t kIdBase = kFirstId;

void describeRoot(std::ostream& out, const RootSpec& root) {
  for (const BindMount& bind : root.binds)
    out << "bind " << bind.source << " at " << bind.target << (bind.writable ? " rw" : " ro")
        << (bind.executable ? " exec" : "") << "\n";
  for (const TmpfsMount& tmpfs : root.tmpfs)
    out << "tmpfs " << tmpfs.target << " " << tmpfs.size << " bytes\n";
  for (const DeviceNode& device : root.devices)
    out << "device " << device.name << " " << device.major << ":" << device.minor << "\n";
  for (const TextFile& file : root.files) out << "file " << file.target << "\n";
  for (const auto& [target, link] : root.symlinks) out << "link " << link << " -> " << target << "\n";
  out << "proc " << (root.proc ? "yes" : "no") << "\n";
}

std::string describe(const ServiceSpec& service) {
  std::ostringstream out;
  const SandboxSpec& sandbox = service.sandbox;
  out << "service " << toString(service.kind) << "\n";
  out << "netns " << service.netns.value_or("an empty one") << "\n";
  out << "argv";
  for (const std::string& word : sandbox.argv) out << " '" << word << "'";
  out << "\nenvironment";
  for (const std::string& variable : sandbox.environment) out << " " << variable;
  out << "\nuser " << sandbox.uid << ":" << sandbox.gid;
  if (sandbox.ids) out << " of " << sandbox.ids->count << " ids from " << sandbox.ids->outside;
  else out << " of the host";
  out << "\ncapabilities";
  for (const int capability : sandbox.capabilities) out << " " << capability;
  out << "\nseccomp " << sandbox.seccomp << (service.listensForViolations ? ", with a listener" : "")
      << "\ncgroup " << sandbox.cgroup << "\nopen files " << sandbox.limits.openFiles
      << "\nlargest file " << sandbox.limits.fileBytes
      << "\ndies with its supervisor " << (sandbox.dieWithParent ? "yes" : "no") << "\n";
  describeRoot(out, sandbox.root);
  for (const ServiceDirectory& directory : service.directories)
    out << "directory " << directory.path << " " << std::oct << directory.mode << std::dec
        << (directory.ownedByService ? " its own" : " root's") << "\n";
  for (const ServiceFile& file : service.files)
    out << "--- " << file.path << " " << std::oct << file.mode << std::dec << "\n" << file.text;
  return out.str();
}

struct Sample {
  std::string name;
  ServiceSpec service;
};

std::vector<Sample> samples() {
  static const ProgramPaths programs;
  static const RouterSpec universe = test::universeSpec();
  static const RouterSpec openvpn = test::openvpnSpec();
  static const RouterSpec tor = test::torSpec();
  static const RouterSpec socks5 = [] {
    RouterSpec spec = test::baseSpec("galaxy2", Kind::galaxy, "10.1.3.254/24");
    spec.uplink = RouterUplink{"universe0", std::nullopt};
    spec.egress = Socks5Egress{Endpoint{test::ip("198.18.0.30"), 1080, true}, std::nullopt};
    return spec;
  }();
  const auto at = [](const RouterSpec& spec) { return ServiceContext{spec, programs, kIdBase}; };
  return {{"dnsmasq-universe", dnsmasqService(at(universe))},
          {"dnsmasq-star", dnsmasqService(at(tor))},
          {"udhcpc", udhcpcService(at(universe))},
          {"openvpn", openvpnService(at(openvpn), std::get<OpenVpnEgress>(openvpn.egress))},
          {"wireguard-go", wireguardGoService(at(openvpn))},
          {"tor", torService(at(tor))},
          {"tproxy-tor", tproxyService(at(tor))},
          {"tproxy-socks5", tproxyService(at(socks5))}};
}

TEST(Services, AreAsTheirGoldenFilesSay) {
  for (const Sample& sample : samples()) {
    const std::string path =
        std::string(ORRERY_SOURCE_DIR "/tests/golden/services/") + sample.name + ".txt";
    const std::string got = describe(sample.service);
    if (std::getenv("ORRERY_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << got;
    std::ifstream file(path);
    const std::string want{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(got, want) << path;
  }
}

// Laws that every service keeps, whatever the golden files say.
TEST(Services, OwnNothingAndShareNothing) {
  std::map<std::uint32_t, ServiceKind> owners;
  for (const Sample& sample : samples()) {
    const SandboxSpec& sandbox = sample.service.sandbox;
    const ServiceKind kind = sample.service.kind;
    SCOPED_TRACE(sample.name);
    EXPECT_TRUE(sandbox.dieWithParent);
    EXPECT_FALSE(sandbox.seccomp.empty());
    EXPECT_FALSE(sandbox.cgroup.empty());
    // udhcpc is the one declared exception to a user namespace of its own.
    EXPECT_EQ(sandbox.ids.has_value(), kind != ServiceKind::udhcpc);
    const std::uint32_t user = hostUser(kIdBase, kind);
    EXPECT_EQ(sandbox.ids ? sandbox.ids->outside + sandbox.uid : sandbox.uid, user);
    EXPECT_GT(user, kIdBase);
    EXPECT_LT(user, kIdBase + kIdsPerRouter);
    const auto [owner, isNew] = owners.emplace(user, kind);
    EXPECT_TRUE(isNew || owner->second == kind);
    for (const BindMount& bind : sandbox.root.binds)
      EXPECT_FALSE(bind.writable && bind.executable) << bind.target;
    for (const std::string& word : sandbox.argv) EXPECT_EQ(word.find("secret"), std::string::npos);
  }
}

TEST(Services, TorAloneReachesItsControlSocket) {
  for (const Sample& sample : samples())
    for (const BindMount& bind : sample.service.sandbox.root.binds)
      if (bind.source.find("/tor/control") != std::string::npos) {
        EXPECT_EQ(sample.service.kind, ServiceKind::tor);
      }
}

}  // namespace
}  // namespace orrery
