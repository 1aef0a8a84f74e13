// The kernel behind the plan's door, as a list of resources that obeys the door's contract.
#pragma once

#include <algorithm>
#include <vector>

#include "routers/plan/execute.h"

namespace orrery::test {

class FakeWorld : public World {
 public:
  std::vector<Resource> present;
  int failAt = -1;  // number of the apply() that fails, from 0
  int calls = 0;

  Status apply(const Step& step) override {
    if (calls++ == failAt) return sysError(EIO, "made to fail");
    if (step.before) ORRERY_TRY(take(*step.before, step.after.has_value()));
    if (step.after) {
      if (find(*step.after) != present.end()) return sysError(EEXIST, "create");
      present.push_back(*step.after);
    }
    return {};
  }

  // What lives in a namespace goes with it.
  void dropContents(const std::string& netns) {
    std::erase_if(present, [&](const Resource& r) {
      return std::visit(
          [&](const auto& v) {
            if constexpr (requires { v.netns; })
              return v.netns == netns;
            else
              return false;
          },
          r);
    });
  }

 private:
  std::vector<Resource>::iterator find(const Resource& resource) {
    return std::ranges::find_if(present, [&](const Resource& r) { return key(r) == key(resource); });
  }
  Status take(const Resource& resource, bool mustExist) {
    const auto found = find(resource);
    if (found == present.end()) return mustExist ? sysError(ENOENT, "replace") : Status{};
    present.erase(found);
    if (const auto* netns = std::get_if<NetnsResource>(&resource)) dropContents(netns->name);
    return {};
  }
};

class FakeJournal : public Journal {
 public:
  std::vector<std::string> lines;
  Status intend(const Step& step) override {
    lines.push_back(toText(step));
    return {};
  }
  Status done() override {
    lines.push_back("done");
    return {};
  }
  Status failed() override {
    lines.push_back("failed");
    return {};
  }
};

}  // namespace orrery::test
