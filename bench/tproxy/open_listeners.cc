// Starts orrery-tproxy for the benchmark: bench_tproxy_listeners LAN-NETNS PROGRAM CONFIG-FD
// CONTROL-FD. Opens the listeners in the namespace at the path given and becomes the program in its
// own.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "runtime/tproxy/listeners.h"

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  orrery::NetnsFd lan(::open(argv[1], O_RDONLY | O_CLOEXEC));
  auto made = orrery::tproxy::openListeners(lan);
  if (!made) {
    std::fprintf(stderr, "%s\n", made.error().message.c_str());
    return 1;
  }
  const int fds[] = {made->tcp.get(), made->dnsUdp.get(), made->dnsReply.get(), made->dnsTcp.get()};
  std::string names[4];
  for (int i = 0; i < 4; ++i) {
    ::fcntl(fds[i], F_SETFD, 0);
    names[i] = std::to_string(fds[i]);
  }
  ::execl(argv[2], argv[2], "--listen-tcp", names[0].c_str(), "--dns-udp", names[1].c_str(),
          "--dns-reply", names[2].c_str(), "--dns-tcp", names[3].c_str(), "--config", argv[3],
          "--control", argv[4], nullptr);
  std::perror(argv[2]);
  return 1;
}
