// The real services under the real filters: they start, do their work, and end on SIGTERM.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "confined.h"
#include "sandbox/base/file.h"
#include "sandbox/seccomp/notify.h"

namespace orrery {
namespace {

using test::Confined;
using test::Ended;
using test::FakeHost;
using test::TemporaryDirectory;
using ::testing::HasSubstr;

class Services : public ::testing::Test {
 protected:
  FakeHost host_;
  TemporaryDirectory dir_;
};

const char kDnsmasqConfig[] =
    "keep-in-foreground\nno-hosts\nport=53\nbind-interfaces\nuser=root\ngroup=\npid-file=\n"
    "log-facility=-\nlog-dhcp\nno-ping\ndhcp-broadcast\naddress=/example.test/192.0.2.7\n"
    "interface=lan0\ndhcp-range=10.7.0.2,10.7.0.9,1h\ndhcp-authoritative\n";

TEST_F(Services, DnsmasqAnswersLeasesReloadsAndEnds) {
  host_.run(
      "ip link add lan0 type veth peer name client && ip addr add 10.7.0.1/24 dev lan0 && "
      "ip link set lan0 up && ip link set client up");
  dir_.write("dnsmasq.conf", kDnsmasqConfig);
  dir_.write("resolv.conf", "nameserver 10.7.0.200\n");
  ASSERT_EQ(::mkdir((dir_.path() + "/hosts").c_str(), 0755), 0);
  Confined dnsmasq(host_, "dnsmasq",
                   {"/usr/sbin/dnsmasq", "--conf-file=" + dir_.path() + "/dnsmasq.conf",
                    "--dhcp-leasefile=" + dir_.path() + "/leases",
                    "--resolv-file=" + dir_.path() + "/resolv.conf",
                    "--dhcp-hostsdir=" + dir_.path() + "/hosts"});
  ASSERT_TRUE(dnsmasq.waitFor("using nameserver 10.7.0.200")) << dnsmasq.output();

  const std::string dig = "dig +short +tries=1 +timeout=5 @10.7.0.1 example.test ";
  EXPECT_EQ(host_.run(dig), "192.0.2.7\n") << dnsmasq.output();
  EXPECT_EQ(host_.run(dig + "+tcp"), "192.0.2.7\n") << "by a forked child";

  Confined udhcpc(host_, "udhcpc",
                  {"/bin/busybox", "udhcpc", "-f", "-n", "-q", "-i", "client", "-s", "/bin/true"});
  const Ended client = udhcpc.wait();
  EXPECT_EQ(client.exitCode, 0) << udhcpc.output();
  EXPECT_THAT(udhcpc.output(), HasSubstr("lease of 10.7.0."));
  EXPECT_TRUE(dnsmasq.waitFor("DHCPACK")) << dnsmasq.output();
  EXPECT_THAT(readFile(dir_.path() + "/leases").value_or(""), HasSubstr("10.7.0."));

  dir_.write("hosts/one", "00:11:22:33:44:55,10.7.0.9\n");
  EXPECT_TRUE(dnsmasq.waitFor("hosts/one new or modified")) << dnsmasq.output();
  dnsmasq.signal(SIGHUP);
  EXPECT_TRUE(dnsmasq.waitFor("cleared cache")) << dnsmasq.output();
  dnsmasq.signal(SIGTERM);
  EXPECT_EQ(dnsmasq.wait().exitCode, 0) << dnsmasq.output();
  EXPECT_THAT(dnsmasq.output(), HasSubstr("exiting on receipt of SIGTERM"));
}

TEST_F(Services, UdhcpcRunsItsHelper) {
  host_.run(
      "ip link add lan0 type veth peer name client && ip addr add 10.7.0.1/24 dev lan0 && "
      "ip link set lan0 up && ip link set client up");
  dir_.write("dnsmasq.conf", kDnsmasqConfig);
  Confined dnsmasq(host_, "dnsmasq",
                   {"/usr/sbin/dnsmasq", "--conf-file=" + dir_.path() + "/dnsmasq.conf",
                    "--dhcp-leasefile=" + dir_.path() + "/leases", "--no-resolv"});
  ASSERT_TRUE(dnsmasq.waitFor("DHCP, IP range")) << dnsmasq.output();
  const std::string script = dir_.path() + "/helper";
  dir_.write("helper", "#!/bin/busybox sh\necho \"helper: $1 $ip $interface\"\n");
  ASSERT_EQ(::chmod(script.c_str(), 0700), 0);
  Confined udhcpc(host_, "udhcpc", {"/bin/busybox", "udhcpc", "-f", "-i", "client", "-s", script});
  EXPECT_TRUE(udhcpc.waitFor("helper: bound 10.7.0.")) << udhcpc.output();
  udhcpc.signal(SIGUSR1);  // renew, now by a UDP socket; the helper set no address to send from
  EXPECT_TRUE(udhcpc.waitFor("sending renew to server 10.7.0.1")) << udhcpc.output();
  EXPECT_TRUE(udhcpc.waitFor("broadcasting renew")) << udhcpc.output();
  udhcpc.signal(SIGTERM);
  EXPECT_EQ(udhcpc.wait().exitCode, 0) << udhcpc.output();
  EXPECT_THAT(udhcpc.output(), HasSubstr("received SIGTERM"));
  EXPECT_THAT(udhcpc.output(), ::testing::Not(HasSubstr("not permitted")));
}

TEST_F(Services, TorStartsAndEnds) {
  dir_.write("torrc", fmt::format("DataDirectory {0}/data\nDisableNetwork 1\n"
                                  "SocksPort unix:{0}/socks\nControlPort unix:{0}/control\n"
                                  "CookieAuthentication 1\nLog notice stdout\nRunAsDaemon 0\n",
                                  dir_.path()));
  Confined tor(host_, "tor",
               {"/usr/sbin/tor", "--defaults-torrc", "/dev/null", "-f", dir_.path() + "/torrc"});
  ASSERT_TRUE(tor.waitFor("Bootstrapped 0%")) << tor.output();
  ASSERT_TRUE(tor.waitFor("Delaying directory fetches")) << tor.output();
  tor.signal(SIGHUP);
  EXPECT_TRUE(tor.waitFor("Received reload signal (hup)")) << tor.output();
  tor.signal(SIGTERM);
  EXPECT_EQ(tor.wait().exitCode, 0) << tor.output();
  EXPECT_THAT(tor.output(), HasSubstr("exiting cleanly"));
  EXPECT_TRUE(pathExists(dir_.path() + "/data/state"));
}

TEST_F(Services, TorTriesToBootstrap) {
  dir_.write("torrc", fmt::format("DataDirectory {0}/data\nDNSPort 127.0.0.1:5353\n"
                                  "SocksPort unix:{0}/socks\nLog info stdout\n",
                                  dir_.path()));
  Confined tor(host_, "tor",
               {"/usr/sbin/tor", "--defaults-torrc", "/dev/null", "-f", dir_.path() + "/torrc"});
  // No network leads anywhere: it tries to connect, and complains of that and nothing else.
  ASSERT_TRUE(tor.waitFor("connect() to socket failed: Network is unreachable")) << tor.output();
  tor.signal(SIGTERM);
  EXPECT_EQ(tor.wait().exitCode, 0) << tor.output();
  EXPECT_THAT(tor.output(), ::testing::Not(HasSubstr("Operation not permitted")));
}

TEST_F(Services, OpenvpnKnocksAtADeadServer) {
  host_.run(
      fmt::format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
                  "-keyout {0}/key.pem -out {0}/cert.pem -days 2 -subj /CN=x 2>&1",
                  dir_.path()));
  for (const std::string proto : {"udp4", "tcp4-client"}) {
    const std::string d = dir_.path();
    Confined openvpn(host_, "openvpn",
                     {"/usr/sbin/openvpn",
                      "--client",
                      "--dev",
                      "tun0",
                      "--proto",
                      proto,
                      "--remote",
                      "127.0.0.1",
                      "1194",
                      "--ifconfig-noexec",
                      "--route-noexec",
                      "--persist-tun",
                      "--script-security",
                      "1",
                      "--disable-dco",
                      "--nobind",
                      "--ca",
                      d + "/cert.pem",
                      "--cert",
                      d + "/cert.pem",
                      "--key",
                      d + "/key.pem",
                      "--connect-retry",
                      "1",
                      "--management",
                      d + "/management",
                      "unix",
                      "--status",
                      d + "/status",
                      "1",
                      "--verb",
                      "3"});
    ASSERT_TRUE(openvpn.waitFor("Connection refused")) << openvpn.output();
    openvpn.signal(SIGTERM);
    EXPECT_EQ(openvpn.wait().exitCode, 0) << openvpn.output();
    EXPECT_THAT(openvpn.output(), HasSubstr("SIGTERM"));
    EXPECT_THAT(openvpn.output(), ::testing::Not(HasSubstr("not permitted")));
  }
}

std::vector<std::string> staticKeyPeer(const std::string& dir, int own, int other) {
  return {"/usr/sbin/openvpn",
          "--dev",
          fmt::format("tun{}", own),
          "--dev-type",
          "tun",
          "--proto",
          "udp4",
          "--local",
          fmt::format("127.0.0.{}", own),
          "--remote",
          fmt::format("127.0.0.{}", other),
          "--ifconfig-noexec",
          "--route-noexec",
          "--script-security",
          "1",
          "--secret",
          dir + "/static.key",
          "--cipher",
          "AES-256-CBC",
          "--persist-tun",
          "--ping",
          "1",
          "--verb",
          "3"};
}

TEST_F(Services, OpenvpnTakesItsTunAndTransfers) {
  // Two of them with a static key: no server and no handshake, but the tun and the data path.
  host_.run(
      "ip tuntap add dev tun1 mode tun && ip tuntap add dev tun2 mode tun && "
      "ip link set tun1 up && ip link set tun2 up && openvpn --genkey secret " +
      dir_.path() + "/static.key");
  Confined one(host_, "openvpn", staticKeyPeer(dir_.path(), 1, 2));
  Confined two(host_, "openvpn", staticKeyPeer(dir_.path(), 2, 1));
  for (Confined* peer : {&one, &two}) {
    ASSERT_TRUE(peer->waitFor("opened")) << peer->output();
    EXPECT_TRUE(peer->waitFor("Initialization Sequence Completed")) << peer->output();
  }
  for (Confined* peer : {&one, &two}) {
    peer->signal(SIGTERM);
    EXPECT_EQ(peer->wait().exitCode, 0) << peer->output();
    EXPECT_THAT(peer->output(), ::testing::Not(HasSubstr("not permitted")));
  }
}

constexpr int kTunFd = 63;
constexpr int kUapiFd = 62;

// In the child: a tun and a listening control socket, as the supervisor will hand them over.
int inheritTunAndSocket() {
  const int tun = ::open("/dev/net/tun", O_RDWR);
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  std::memcpy(request.ifr_name, "wgt0", 5);
  if (tun < 0 || ::ioctl(tun, TUNSETIFF, &request) != 0) return -1;
  const int control = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{AF_UNIX, "/run/wireguard/wgt0.sock"};
  if (::bind(control, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  if (::listen(control, 1) != 0) return -1;
  return ::dup2(tun, kTunFd) == kTunFd && ::dup2(control, kUapiFd) == kUapiFd ? 0 : -1;
}

TEST_F(Services, WireguardGoSetsItsMtuThroughTheSupervisor) {
  Confined::Options options;
  options.environment = {"WG_TUN_FD=63", "WG_UAPI_FD=62", "WG_PROCESS_FOREGROUND=1",
                         "LOG_LEVEL=debug"};
  options.beforeFilter = inheritTunAndSocket;
  options.listener = true;
  host_.run("mount -t tmpfs none /run && mkdir /run/wireguard");
  Confined wireguard(host_, "wireguard-go", {"/usr/bin/wireguard-go", "-f", "wgt0"}, options);
  auto listener = SeccompListener::open(wireguard.takeListener());
  ASSERT_TRUE(listener) << listener.error().message;

  pollfd p{listener->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&p, 1, 20'000), 1) << wireguard.output();
  const auto call = listener->receive();
  ASSERT_TRUE(call && *call);
  EXPECT_EQ((*call)->number, SYS_ioctl);
  EXPECT_EQ((*call)->args[1], std::uint64_t{SIOCSIFMTU});
  ifreq request{};
  const Status read = listener->readMemory(**call, (*call)->args[2],
                                           std::as_writable_bytes(std::span(&request, 1)));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_STREQ(request.ifr_name, "wgt0");
  EXPECT_EQ(request.ifr_mtu, 1420);
  host_.run("ip link set wgt0 mtu 1420");
  EXPECT_TRUE(listener->answerValue((*call)->id, 0).value());

  EXPECT_TRUE(wireguard.waitFor("UAPI listener started")) << wireguard.output();
  host_.run("ip link set wgt0 up");
  EXPECT_TRUE(wireguard.waitFor("Interface state was Down, requested Up, now Up"))
      << wireguard.output();
  wireguard.signal(SIGTERM);
  EXPECT_EQ(wireguard.wait().exitCode, 0) << wireguard.output();
  EXPECT_THAT(wireguard.output(), HasSubstr("Shutting down"));
  EXPECT_THAT(wireguard.output(), ::testing::Not(HasSubstr("not permitted")));
}

}  // namespace
}  // namespace orrery
