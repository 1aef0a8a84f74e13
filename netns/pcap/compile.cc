#include "netns/pcap/compile.h"

#include <dlfcn.h>
#include <pcap/pcap.h>

#include <utility>

namespace orrery {
namespace {

constexpr const char* kLibrary = "libpcap.so.0.8";
constexpr int kSnapLength = 65535;

BpfProgram programOf(const bpf_program& code) {
  BpfProgram program;
  for (unsigned n = 0; n < code.bf_len; ++n) {
    const bpf_insn& i = code.bf_insns[n];
    program.push_back({i.code, i.jt, i.jf, static_cast<std::uint32_t>(i.k)});
  }
  return program;
}

}  // namespace

struct ExpressionCompiler::Library {
  void* handle = nullptr;
  decltype(&pcap_open_dead) openDead = nullptr;
  decltype(&pcap_compile) compile = nullptr;
  decltype(&pcap_freecode) freeCode = nullptr;
  decltype(&pcap_geterr) lastError = nullptr;
  decltype(&pcap_close) close = nullptr;

  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (handle != nullptr) ::dlclose(handle);
  }
  template <class Function>
  bool find(const char* name, Function& function) const {
    function = reinterpret_cast<Function>(::dlsym(handle, name));
    return function != nullptr;
  }
};

ExpressionCompiler::ExpressionCompiler(std::unique_ptr<Library> library)
    : library_(std::move(library)) {}
ExpressionCompiler::ExpressionCompiler(ExpressionCompiler&&) noexcept = default;
ExpressionCompiler& ExpressionCompiler::operator=(ExpressionCompiler&&) noexcept = default;
ExpressionCompiler::~ExpressionCompiler() = default;

Result<ExpressionCompiler> ExpressionCompiler::open() {
  auto library = std::make_unique<Library>();
  library->handle = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr)
    return sysError(ENOENT, "filters need libpcap, and '{}' cannot be opened: install libpcap0.8",
                    kLibrary);
  if (!library->find("pcap_open_dead", library->openDead) ||
      !library->find("pcap_compile", library->compile) ||
      !library->find("pcap_freecode", library->freeCode) ||
      !library->find("pcap_geterr", library->lastError) ||
      !library->find("pcap_close", library->close))
    return error("'{}' lacks what filters need of it", kLibrary);
  return ExpressionCompiler(std::move(library));
}

Result<BpfProgram> ExpressionCompiler::compile(const std::string& expression,
                                               const Prefix4& lan) const {
  const std::unique_ptr<pcap_t, decltype(library_->close)> handle(
      library_->openDead(DLT_EN10MB, kSnapLength), library_->close);
  if (!handle) return sysError(ENOMEM, "open libpcap");
  bpf_program code{};
  // The mask in host order: gen_broadcast() (gencode.c) compares with what it has loaded.
  if (library_->compile(handle.get(), &code, expression.c_str(), 1, lan.mask().value) != 0)
    return error("libpcap: {}", library_->lastError(handle.get()));
  BpfProgram program = programOf(code);
  library_->freeCode(&code);
  ORRERY_TRY(checkProgram(program));
  return program;
}

}  // namespace orrery
