// tcpdump's language (pcap-filter(7)) to a program, by libpcap.
//
// libpcap asks the resolver for every word that it does not know: who compiles an expression that
// another wrote must have seen to it that there is none (routers/spec/filter_expression.h).
#pragma once

#include <memory>
#include <string>

#include "netns/addr/ip.h"
#include "netns/filter/program.h"

namespace orrery {

class ExpressionCompiler {
 public:
  // Opens libpcap.so.0.8; err ENOENT if it is not installed.
  static Result<ExpressionCompiler> open();
  ExpressionCompiler(ExpressionCompiler&&) noexcept;
  ExpressionCompiler& operator=(ExpressionCompiler&&) noexcept;
  ~ExpressionCompiler();

  // For Ethernet frames; `lan` tells what "ip broadcast" is. Errors are libpcap's own words ("libpcap:
  // can't parse filter expression: syntax error"), or checkProgram()'s.
  Result<BpfProgram> compile(const std::string& expression, const Prefix4& lan) const;

 private:
  struct Library;
  explicit ExpressionCompiler(std::unique_ptr<Library> library);
  std::unique_ptr<Library> library_;
};

}  // namespace orrery
