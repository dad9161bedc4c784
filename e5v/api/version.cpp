#include "e5v/version.h"

namespace e5v {

const char* version() { return E5V_VERSION_STRING; }

}  // namespace e5v
