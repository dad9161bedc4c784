#include "e5v/model/clip_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(ClipConfigTest, TakesNoTowerButClips) {
  EXPECT_EQ(ClipConfig::from_json({{"model_type", "clip"}}).vision.model_type, "clip_vision_model");
  try {
    ClipConfig::from_json(
        {{"model_type", "clip"}, {"vision_config", {{"model_type", "siglip_vision_model"}}}});
    FAIL() << "nothing was thrown";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("'siglip_vision_model'"), HasSubstr("clip_vision_model")));
  }
}

}  // namespace
}  // namespace e5v::detail
