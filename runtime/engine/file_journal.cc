#include "runtime/engine/file_journal.h"

#include <fcntl.h>

#include <algorithm>

#include "runtime/engine/resource_json.h"
#include "sandbox/base/file.h"
#include "sandbox/base/strings.h"

namespace orrery {
namespace {

constexpr std::size_t kMaxJournal = 16 << 20;  // bytes
constexpr const char* kDone = "{\"done\":true}\n";

Json toJson(const Step& step) {
  Json json = Json::object();
  if (step.before) json.set("before", toJson(*step.before));
  if (step.after) json.set("after", toJson(*step.after));
  return json;
}

Result<std::optional<Resource>> memberOf(const Json& json, std::string_view name) {
  if (json[name].isNull()) return std::optional<Resource>{};
  ORRERY_TRY_ASSIGN(Resource resource, resourceFromJson(json[name]));
  return std::optional<Resource>(std::move(resource));
}

// Applies a step's effect to the list of what exists. `certain` is false for the last step of a
// journal that was cut off: then what it removes may still be there.
void take(std::vector<Resource>& present, const Step& step, bool certain) {
  const auto drop = [&](const Resource& resource) {
    const std::string gone = key(resource);
    std::erase_if(present, [&](const Resource& r) { return key(r) == gone; });
  };
  if (step.before && (certain || step.after)) drop(*step.before);
  if (!step.after) return;
  drop(*step.after);
  present.push_back(*step.after);
}

}  // namespace

Result<FileJournal> FileJournal::open(const std::string& path) {
  ORRERY_TRY_ASSIGN(UniqueFd fd, openFile(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  return FileJournal(std::move(fd));
}

Status FileJournal::intend(const Step& step) {
  return writeAll(fd_.get(), toJson(step).dump() + "\n");
}
Status FileJournal::done() {
  return writeAll(fd_.get(), kDone);
}
Status FileJournal::failed() {
  return writeAll(fd_.get(), "{\"done\":false}\n");
}

Result<JournalContents> parseJournalContents(std::string_view text) {
  std::vector<Resource> present;
  std::optional<Step> pending;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // torn: never begun
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    ++number;
    auto json = parseJson(line);
    if (!json) return wrap(std::move(json).error(), "journal line {}", number);
    if (const auto done = (*json)["done"].asBool()) {
      if (pending && *done) take(present, *pending, true);
      pending.reset();
      continue;
    }
    if (pending) take(present, *pending, false);
    Step step;
    auto before = memberOf(*json, "before");
    if (!before) return wrap(std::move(before).error(), "journal line {}", number);
    auto after = memberOf(*json, "after");
    if (!after) return wrap(std::move(after).error(), "journal line {}", number);
    pending = Step{std::move(*before), std::move(*after)};
  }
  if (pending) take(present, *pending, false);
  return JournalContents{std::move(present), std::move(pending)};
}

Result<std::vector<Resource>> parseJournal(std::string_view text) {
  ORRERY_TRY_ASSIGN(JournalContents contents, parseJournalContents(text));
  return std::move(contents.present);
}

Result<JournalContents> readJournalContents(const std::string& path) {
  auto text = readFile(path, kMaxJournal);
  if (!text && text.error().err == ENOENT) return JournalContents{};
  if (!text) return tl::unexpected<Error>(std::move(text).error());
  auto contents = parseJournalContents(*text);
  if (!contents) return wrap(std::move(contents).error(), "'{}'", path);
  return contents;
}

Result<std::vector<Resource>> readJournal(const std::string& path) {
  ORRERY_TRY_ASSIGN(JournalContents contents, readJournalContents(path));
  return std::move(contents.present);
}

Status rewriteJournal(const std::string& path, const std::vector<Resource>& present) {
  std::string text;
  for (const Resource& resource : present)
    text += toJson(Step{std::nullopt, resource}).dump() + "\n" + kDone;
  return writeFileAtomic(path, text, 0600);
}

}  // namespace orrery
