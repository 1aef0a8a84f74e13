#include "tests/unit/netns/filter/resolver.h"

#include <netdb.h>

namespace orrery::test {
std::vector<std::string>& askedOfResolver() {
  static std::vector<std::string> list;
  return list;
}
}  // namespace orrery::test

using orrery::test::askedOfResolver;

extern "C" {
// A port's number comes by here as well, without a host: nothing is asked of anybody for that.
int getaddrinfo(const char* node, const char* service, const addrinfo*, addrinfo** out) {
  if (node != nullptr) askedOfResolver().push_back(std::string("host ") + node);
  const std::string port = service != nullptr ? service : "";
  if (port.find_first_not_of("0123456789") != std::string::npos)
    askedOfResolver().push_back("port " + port);
  *out = nullptr;
  return EAI_NONAME;
}
netent* getnetbyname(const char* name) {
  askedOfResolver().push_back(std::string("net ") + name);
  return nullptr;
}
int getnetbyname_r(const char* name, netent*, char*, std::size_t, netent** out, int*) {
  askedOfResolver().push_back(std::string("net ") + name);
  *out = nullptr;
  return 0;
}
protoent* getprotobyname(const char* name) {
  askedOfResolver().push_back(std::string("protocol ") + name);
  return nullptr;
}
int getprotobyname_r(const char* name, protoent*, char*, std::size_t, protoent** out) {
  askedOfResolver().push_back(std::string("protocol ") + name);
  *out = nullptr;
  return 0;
}
int ether_hostton(const char* name, struct ether_addr*) {
  askedOfResolver().push_back(std::string("ether ") + name);
  return -1;
}
}
