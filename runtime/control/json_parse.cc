// nlohmann's parser drives; we build our own value, so that limits hold while reading and nothing
// throws.
#include <nlohmann/json.hpp>

#include "runtime/control/json.h"

namespace orrery {
namespace {

class Builder {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit Builder(std::size_t maxDepth) : maxDepth_(maxDepth) {}

  bool null() { return add(Json()); }
  bool boolean(bool value) { return add(Json(value)); }
  bool number_integer(number_integer_t value) { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) { return add(Json(value)); }
  bool string(string_t& value) { return add(Json(std::move(value))); }
  bool binary(binary_t&) { return refuse("binary values are not JSON"); }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool key(string_t& name) {
    Level& level = open_.back();
    if (const Json::Object* members = level.value.asObject())
      for (const Json::Member& member : *members)
        if (member.first == name) return refuse(fmt::format("key '{}' twice", name.substr(0, 64)));
    level.key = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    return refuse(fmt::format("syntax error at byte {}", position));
  }

  Json takeRoot() { return std::move(root_); }
  const std::string& reason() const { return reason_; }

 private:
  struct Level {
    Json value;
    std::string key;
  };

  bool refuse(std::string why) {
    if (reason_.empty()) reason_ = std::move(why);
    return false;
  }
  bool open(Json value) {
    if (open_.size() >= maxDepth_) return refuse(fmt::format("nested deeper than {}", maxDepth_));
    open_.push_back(Level{std::move(value), ""});
    return true;
  }
  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }
  bool add(Json value) {
    if (open_.empty())
      root_ = std::move(value);
    else if (open_.back().value.isArray())
      open_.back().value.push(std::move(value));
    else
      open_.back().value.set(open_.back().key, std::move(value));
    return true;
  }

  std::size_t maxDepth_;
  std::vector<Level> open_;
  Json root_;
  std::string reason_;
};

}  // namespace

Result<Json> parseJson(std::string_view text, std::size_t maxBytes, std::size_t maxDepth) {
  if (text.size() > maxBytes) return error("JSON of {} bytes, at most {}", text.size(), maxBytes);
  Builder builder(maxDepth);
  bool parsed = false;
  try {
    parsed = nlohmann::json::sax_parse(text, &builder);
  } catch (const std::exception& e) {  // out of memory, or a defect of the library
    return error("JSON: {}", e.what());
  }
  if (!parsed) return error("JSON: {}", builder.reason());
  return builder.takeRoot();
}

}  // namespace orrery
