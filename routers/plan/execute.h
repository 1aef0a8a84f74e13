// Carries a plan out through a door to the kernel, and back again when a step fails.
#pragma once

#include "routers/plan/resource.h"

namespace orrery {

// The one door through which plans touch the kernel. A step that fails leaves nothing of itself
// behind; creating what is there already fails (it may be somebody else's), removing what is gone
// succeeds (so that a plan cut short by a crash can be undone by running its inverse).
class World {
 public:
  virtual ~World() = default;
  // Asked before a step is written down: an error if it would make what is there already. A step
  // that is cut off before it came to anything is undone all the same, and must not take away what
  // was somebody else's.
  virtual Status admit(const Step&) { return {}; }
  virtual Status apply(const Step& step) = 0;
};

// What is about to happen is written down before it happens.
class Journal {
 public:
  virtual ~Journal() = default;
  virtual Status intend(const Step& step) = 0;
  virtual Status done() = 0;    // the step intended last has taken effect
  virtual Status failed() = 0;  // it has not
};

// All steps, or (when one fails) none: the steps done are undone newest first, through the journal
// too. One failed undo does not stop the others; such errors are in Error::also.
Status execute(const Plan& plan, World& world, Journal& journal);

// Every step even if some fail, for taking down: the first error comes back, with the rest in
// `also`.
Status executeAll(const Plan& plan, World& world, Journal& journal);
// One step, through the journal.
Status executeStep(const Step& step, World& world, Journal& journal);

}  // namespace orrery
