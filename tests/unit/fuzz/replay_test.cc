// Replays each fuzz target's corpus and mutations of it: the same bytes in every run, so that a
// failure can be repeated. A search for new inputs is `./dev fuzz`.
//
// A target that crashes takes the program with it; the input is then printed in hex.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

#define ORRERY_FUZZ_TARGET(name, seeds) \
  extern "C" int fuzz_##name(const std::uint8_t* data, std::size_t size);
#include "fuzz_targets.inc"
#undef ORRERY_FUZZ_TARGET

namespace orrery {
namespace {

struct Target {
  const char* name;
  int (*run)(const std::uint8_t* data, std::size_t size);
  const char* seeds;  // folders below tests/, with ':' between
};
const std::vector<Target>& targets() {
  static const std::vector<Target> kTargets = {
#define ORRERY_FUZZ_TARGET(name, seeds) {#name, fuzz_##name, seeds},
#include "fuzz_targets.inc"
#undef ORRERY_FUZZ_TARGET
  };
  return kTargets;
}

constexpr std::size_t kMutations = 3000;     // of each target, over all of its seeds
constexpr std::size_t kMaxInput = 16 << 10;  // bytes

// For the signal handler: what is being tried.
const std::uint8_t* current = nullptr;
std::size_t currentSize = 0;

void printInput(int signal) {
  static const char kHex[] = "0123456789abcdef";
  constexpr char kHead[] = "\ninput of the crash, in hex: ";
  (void)!::write(STDERR_FILENO, kHead, sizeof kHead - 1);
  for (std::size_t i = 0; i < currentSize; ++i) {
    const char digits[] = {kHex[current[i] >> 4], kHex[current[i] & 15]};
    (void)!::write(STDERR_FILENO, digits, sizeof digits);
  }
  (void)!::write(STDERR_FILENO, "\n", 1);
  std::signal(signal, SIG_DFL);
  (void)std::raise(signal);
}

void tryInput(const Target& target, const std::string& input) {
  // A copy of exactly this size: memory checkers see what is read beyond.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  current = bytes.data();
  currentSize = bytes.size();
  EXPECT_EQ(target.run(bytes.data(), bytes.size()), 0) << target.name;
  currentSize = 0;
}

class Random {  // splitmix64 by S. Vigna: the same numbers everywhere
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }

 private:
  std::uint64_t state_;
};

// Values at which lengths and counts go wrong.
constexpr std::uint8_t kEdges[] = {0x00, 0x01, 0x7f, 0x80, 0xc0, 0xff,
                                   '"',  '\\', '\n', '[',  '{',  '='};

std::string mutated(std::string text, const std::string& other, Random& random) {
  const std::size_t times = 1 + random.below(4);
  for (std::size_t i = 0; i < times; ++i) {
    const std::size_t at = random.below(text.size() + 1);
    const auto byte = static_cast<char>(random.next());
    switch (random.below(8)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << random.below(8)));
        break;
      case 1:
        if (at < text.size()) text[at] = byte;
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(kEdges[random.below(std::size(kEdges))]);
        break;
      case 3:
        text.insert(at, 1 + random.below(8), byte);
        break;
      case 4:
        text.erase(at, 1 + random.below(16));
        break;
      case 5:
        text.resize(at);
        break;
      case 6:
        text.insert(at, text.substr(random.below(text.size() + 1), 1 + random.below(64)));
        break;
      default:
        text.insert(at, other.substr(random.below(other.size() + 1), 1 + random.below(64)));
    }
    if (text.size() > kMaxInput) text.resize(kMaxInput);
  }
  return text;
}

std::vector<std::string> seedsOf(const Target& target) {
  const std::string tests = std::string(ORRERY_SOURCE_DIR) + "/tests/";
  std::vector<std::string> folders{tests + "fuzz/corpus/" + target.name};
  for (const std::string_view folder : split(target.seeds, ':'))
    if (!folder.empty()) folders.push_back(tests + std::string(folder));
  std::vector<std::string> seeds;
  for (const std::string& folder : folders) {
    const auto names = listDirectory(folder);
    EXPECT_TRUE(names && !names->empty()) << folder << " holds no seeds";
    for (const std::string& name : names ? *names : std::vector<std::string>{}) {
      auto text = readFile(folder + "/" + name);
      EXPECT_TRUE(text) << folder << "/" << name;
      if (text) seeds.push_back(std::move(text).value());
    }
  }
  return seeds;
}

class FuzzReplay : public ::testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
      std::signal(signal, printInput);
  }
  void TearDown() override {
    for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
      std::signal(signal, SIG_DFL);
  }
};

TEST_P(FuzzReplay, NoInputCrashesIt) {
  const Target& target = GetParam();
  const std::vector<std::string> seeds = seedsOf(target);
  ASSERT_FALSE(seeds.empty());
  tryInput(target, "");
  for (const std::string& seed : seeds) tryInput(target, seed);
  Random random(20261121);
  for (std::size_t i = 0; i < kMutations; ++i) {
    const std::string& other = seeds[random.below(seeds.size())];
    tryInput(target, mutated(seeds[i % seeds.size()], other, random));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, FuzzReplay, ::testing::ValuesIn(targets()),
                         [](const auto& p) { return std::string(p.param.name); });

}  // namespace
}  // namespace orrery
