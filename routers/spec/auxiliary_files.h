// The door through which the reader of definitions sees the files that they refer to: profiles,
// keys, user/password files. The runtime opens the real ones; tests hand in texts.
#pragma once

#include <cstdint>
#include <string>

#include "sandbox/base/result.h"

namespace orrery {

struct AuxiliaryFile {
  std::string text;
  unsigned mode = 0600;  // permission bits
  unsigned uid = 0;      // owner
};

class AuxiliaryFiles {
 public:
  virtual ~AuxiliaryFiles() = default;
  // `path` is absolute, or relative to the working directory as the definition file's own path is.
  // An implementation limits the size (kMaxDefinitionSize) and follows no rule of its own beside.
  virtual Result<AuxiliaryFile> read(const std::string& path) const = 0;
  // Whose files are trusted beside root's: the user on whose behalf definitions are read.
  virtual unsigned user() const { return 0; }
};

// Where `reference`, written in the file `from`, points to: relative paths are relative to `from`.
std::string resolvePath(const std::string& from, const std::string& reference);

// Nothing if the file may be relied on: owned by root or `user`, not writable by others and, if it
// is a secret, not readable by others. The message names the remedy.
Status checkOwnership(const std::string& path, const AuxiliaryFile& file, unsigned user,
                      bool secret);

}  // namespace orrery
