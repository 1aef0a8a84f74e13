// The journal of a router: what was about to happen, and whether it did, one JSON object a line.
//
//   {"before":…,"after":…}   a step, written before it runs
//   {"done":true}            it has taken effect
//   {"done":false}           it has not, and left nothing behind
//
// It lives on a tmpfs (/run): what a write(2) took survives every death but the machine's, and with
// the machine goes what it describes. A torn last line is a step that was never begun.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "routers/plan/execute.h"
#include "sandbox/base/fd.h"

namespace orrery {

class FileJournal : public Journal {
 public:
  // Appends; makes the file (mode 0600) if it is missing.
  static Result<FileJournal> open(const std::string& path);
  Status intend(const Step& step) override;
  Status done() override;
  Status failed() override;

 private:
  explicit FileJournal(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

struct JournalContents {
  std::vector<Resource> present;  // what may exist, in order of creation
  std::optional<Step> pending;    // begun, and not known to have taken effect or failed
};
Result<JournalContents> readJournalContents(const std::string& path);
// Writes a journal anew that says no more than what is present: it grows with each restart.
Status rewriteJournal(const std::string& path, const std::vector<Resource>& present);

// What may exist by the journal's word, in order of creation: the effects of all steps that were
// done, or begun and not known to have failed. A missing journal is an empty list.
Result<std::vector<Resource>> readJournal(const std::string& path);

// The same on text. Errors name the line.
Result<std::vector<Resource>> parseJournal(std::string_view text);
Result<JournalContents> parseJournalContents(std::string_view text);

}  // namespace orrery
