// Any text as a definition, and as each file that a definition may refer to: no crash, no endless
// loop, and whatever is accepted survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "routers/spec/reader.h"
#include "routers/spec/spec_json.h"
#include "routers/spec/spec_toml.h"

namespace {

// Every path holds the same text.
class OneText : public orrery::AuxiliaryFiles {
 public:
  explicit OneText(std::string text) : text_(std::move(text)) {}
  orrery::Result<orrery::AuxiliaryFile> read(const std::string&) const override {
    return orrery::AuxiliaryFile{text_, 0600, 0};
  }

 private:
  std::string text_;
};

void require(bool condition) {
  if (!condition) std::abort();
}

void readAsDefinition(const std::string& text) {
  const OneText files(text);
  const auto read = orrery::readDefinitions({{"fuzz.toml", text}}, files);
  if (!read) {
    require(!read.error().empty() && !orrery::toText(read.error()).empty());
    return;
  }
  std::vector<orrery::DefinitionFile> again;
  for (const orrery::RouterSpec& router : read->routers) {
    again.push_back({router.id.text(), orrery::toToml(router)});
    require(orrery::specFromJson(orrery::specToJson(router)).has_value());
  }
  require(orrery::readDefinitions(again, files).has_value());
}

void readAsProfile(const std::string& text, const char* egress) {
  const std::string definition =
      "version = 1\n[router.universe0]\nkind = \"universe\"\n"
      "uplink = { nic = { name = \"eth1\" } }\nlan = { address = \"10.0.0.1/24\" }\n"
      "[router.r]\nuplink = \"universe0\"\nlan = { address = \"10.1.1.1/24\" }\n" +
      std::string(egress);
  const auto read = orrery::readDefinitions({{"fuzz.toml", definition}}, OneText(text));
  require(read || !orrery::toText(read.error()).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  readAsDefinition(text);
  readAsProfile(text, "kind = \"galaxy\"\negress = { type = \"openvpn\", profile = \"p\" }\n");
  readAsProfile(text, "kind = \"galaxy\"\negress = { type = \"wireguard\", profile = \"p\" }\n");
  readAsProfile(text, "kind = \"star\"\negress = { type = \"tor\", torrc = \"p\" }\n");
  (void)orrery::specFromJson(text);
  return 0;
}
