#include "routers/spec/auxiliary_files.h"

namespace orrery {

std::string resolvePath(const std::string& from, const std::string& reference) {
  if (!reference.empty() && reference.front() == '/') return reference;
  const std::size_t slash = from.rfind('/');
  return slash == std::string::npos ? reference : from.substr(0, slash + 1) + reference;
}

Status checkOwnership(const std::string& path, const AuxiliaryFile& file, unsigned user,
                      bool secret) {
  if (file.uid != 0 && file.uid != user) {
    return error("'{}' belongs to user {}, who could change it: chown it to root", path, file.uid);
  }
  if (secret && (file.mode & 077) != 0) {
    return error("'{}' holds a secret, but others may open it (mode {:04o}): chmod 600 {}", path,
                 file.mode & 07777, path);
  }
  if ((file.mode & 022) != 0) {
    return error("'{}' may be changed by others (mode {:04o}): chmod go-w {}", path,
                 file.mode & 07777, path);
  }
  return {};
}

}  // namespace orrery
