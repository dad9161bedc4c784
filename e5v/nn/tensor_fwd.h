#pragma once

// Names a tensor in a header that needs no more of it: ATen's own headers cost the compiler eight
// seconds in every file that includes them.
namespace at {
class Tensor;
}
