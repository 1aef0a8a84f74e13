// Auxiliary files from memory.
#pragma once

#include <map>
#include <string>

#include "routers/spec/auxiliary_files.h"

namespace orrery::testing {

class FakeFiles : public AuxiliaryFiles {
 public:
  FakeFiles() = default;
  explicit FakeFiles(std::map<std::string, AuxiliaryFile> files) : files_(std::move(files)) {}
  Result<AuxiliaryFile> read(const std::string& path) const override {
    const auto found = files_.find(path);
    if (found == files_.end()) return sysError(ENOENT, "open '{}'", path);
    return found->second;
  }

 private:
  std::map<std::string, AuxiliaryFile> files_;
};

// Keys of the right form and no use.
inline constexpr const char* kPrivateKey = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
inline constexpr const char* kPublicKey = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
inline constexpr const char* kSharedKey = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=";

inline AuxiliaryFile wireGuardFile() {
  return AuxiliaryFile{std::string("[Interface]\nPrivateKey = ") + kPrivateKey +
                           "\nAddress = 10.64.0.2/32\nDNS = 10.64.0.1\n\n[Peer]\nPublicKey = " +
                           kPublicKey + "\nAllowedIPs = 0.0.0.0/0\nEndpoint = 198.51.100.7:51820\n",
                       0600, 0};
}

inline AuxiliaryFile openVpnFile() {
  return AuxiliaryFile{
      "client\ndev tun\nproto udp\nremote 198.51.100.7 1194\nnobind\n"
      "<ca>\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n</ca>\n"
      "remote-cert-tls server\n",
      0600, 0};
}

}  // namespace orrery::testing
