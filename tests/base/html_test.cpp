#include "e5v/base/html.h"

#include <gtest/gtest.h>

namespace e5v::detail {
namespace {

TEST(HtmlEscapeTest, WhatHtmlGivesAMeaningIsAReference) {
  EXPECT_EQ(html_escape("<b title=\"x\" id='y'>R&D"),
            "&lt;b title=&quot;x&quot; id=&#39;y&#39;&gt;R&amp;D");
}

TEST(HtmlEscapeTest, ControlCharactersAreSpacesAndBrokenUtf8IsReplaced) {
  EXPECT_EQ(html_escape("a\nb\x01 ä\xff"), "a b  ä\xef\xbf\xbd");
}

}  // namespace
}  // namespace e5v::detail
