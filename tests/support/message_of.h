#pragma once

#include <string>

namespace e5v::detail {

/// What `function` throws as an Exception; "nothing was thrown" if it does not.
template <class Exception, class Function>
std::string message_of(const Function& function) {
  try {
    function();
  } catch (const Exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace e5v::detail
