#include "routers/plan/execute.h"

namespace orrery {

Status executeStep(const Step& step, World& world, Journal& journal) {
  if (Status admitted = world.admit(step); !admitted)
    return wrap(std::move(admitted).error(), "{}", toText(step));
  ORRERY_TRY(journal.intend(step));
  Status applied = world.apply(step);
  if (applied) return journal.done();
  Error first = std::move(applied).error();
  if (Status noted = journal.failed(); !noted) first.also.push_back(std::move(noted).error());
  return wrap(std::move(first), "{}", toText(step));
}

Status execute(const Plan& plan, World& world, Journal& journal) {
  for (std::size_t i = 0; i < plan.size(); ++i) {
    Status applied = executeStep(plan[i], world, journal);
    if (applied) continue;
    Error first = std::move(applied).error();
    for (std::size_t back = i; back-- > 0;)
      if (Status undone = executeStep(inverse(plan[back]), world, journal); !undone)
        first.also.push_back(std::move(undone).error());
    return tl::unexpected<Error>(std::move(first));
  }
  return {};
}

Status executeAll(const Plan& plan, World& world, Journal& journal) {
  std::optional<Error> first;
  for (const Step& step : plan) {
    Status applied = executeStep(step, world, journal);
    if (applied) continue;
    if (first)
      first->also.push_back(std::move(applied).error());
    else
      first = std::move(applied).error();
  }
  if (first) return tl::unexpected<Error>(std::move(*first));
  return {};
}

}  // namespace orrery
