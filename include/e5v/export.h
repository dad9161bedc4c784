#pragma once

/// Marks what leaves the shared library; all else in it is hidden.
#define E5V_API __attribute__((visibility("default")))
