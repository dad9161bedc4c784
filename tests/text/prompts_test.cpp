#include "e5v/text/prompts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "e5v/base/error.h"

namespace e5v::detail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(PromptsTest, Llama3RetrievalIsTheModelCardsToTheByte) {
  const Prompts prompts = find_prompts("retrieval", find_chat_template("llama3"));
  EXPECT_EQ(prompts.text,
            "<|start_header_id|>user<|end_header_id|>\n\n<sent>\nSummary above sentence in one "
            "word: <|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n");
  EXPECT_EQ(prompts.image,
            "<|start_header_id|>user<|end_header_id|>\n\n<image>\nSummary above image in one word: "
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n");
  EXPECT_EQ(prompts.composed, "");
}

TEST(PromptsTest, ComposedRetrievalKeepsTheSpellingOfThePaper) {
  const Prompts cirr = find_prompts("cirr", ChatTemplate::kLlama3);
  EXPECT_EQ(cirr.image,
            "<|start_header_id|>user<|end_header_id|>\n\n<image>\n Describe this image in one word:"
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n");
  EXPECT_THAT(cirr.composed, HasSubstr("\n\n<image>Modify this image with \"<sent>\", desribe "
                                       "modified image in one word:<|eot_id|>"));
  const Prompts dress = find_prompts("fashioniq-dress", ChatTemplate::kPlain);
  EXPECT_EQ(dress.image, "<image>\n Describe this dress in one word based on its style:");
  EXPECT_EQ(dress.composed,
            "<image> change the style of this dress to <sent>\n Desribe this modified dress in one "
            "word based on its style:");
}

TEST(PromptsTest, ToptsAreCalledShirts) {
  const Prompts shirt = find_prompts("fashioniq-shirt", ChatTemplate::kMistral);
  const Prompts toptee = find_prompts("fashioniq-toptee", ChatTemplate::kMistral);
  EXPECT_EQ(toptee.image, shirt.image);
  EXPECT_EQ(toptee.composed, shirt.composed);
  EXPECT_THAT(toptee.image, HasSubstr("this shirt in"));
}

TEST(PromptsTest, StsHasALeadingAndNoTrailingSpace) {
  EXPECT_EQ(find_prompts("sts", ChatTemplate::kPlain).text,
            " <sent>\nSummary above sentence in one word:");
  EXPECT_EQ(find_prompts("sts", ChatTemplate::kMistral).text,
            "[INST]  <sent>\nSummary above sentence in one word: [/INST]");
}

TEST(PromptsTest, OtherBackbonesHaveTheirOwnTurns) {
  EXPECT_EQ(find_prompts("retrieval", ChatTemplate::kMistral).image,
            "[INST] <image>\nSummary above image in one word: [/INST]");
  EXPECT_EQ(find_prompts("retrieval", ChatTemplate::kVicuna).image,
            "USER: <image>\nSummary above image in one word: ASSISTANT:");
  EXPECT_EQ(find_prompts("retrieval", ChatTemplate::kPhi3).text,
            "<|user|>\n<sent>\nSummary above sentence in one word:<|end|>\n<|assistant|>\n");
  EXPECT_EQ(find_prompts("cirr", ChatTemplate::kPhi3).image,
            "<|user|>\n<image>\n Describe this image in one word: <|end|>\n<|assistant|>\n");
}

TEST(PromptsTest, AnEmbeddingModelHasItsMakersPrompts) {
  const auto whole = [](const std::string& instruction, const std::string& prompt) {
    return "<|im_start|>system\n" + instruction + "<|im_end|>\n<|im_start|>user\n" + prompt +
           "<|im_end|>\n<|im_start|>assistant\n";
  };
  const std::string of_query = "Retrieve images or text relevant to the user's query.";
  const std::string of_document = "Represent the user's input.";
  for (const auto& [task, instruction] :
       {std::pair("retrieval", of_document), {"document", of_document}, {"query", of_query}}) {
    const Prompts prompts = find_prompts(task, ChatTemplate::kQwen3VlEmbedding);
    EXPECT_EQ(prompts.text, whole(instruction, "<sent>"));
    EXPECT_EQ(prompts.image, whole(instruction, "<image>"));
    EXPECT_EQ(prompts.composed, whole(instruction, "<image><sent>"));
  }
  EXPECT_EQ(find_prompts("sts", ChatTemplate::kQwen3VlEmbedding).text,
            whole(of_document, " <sent>\nSummary above sentence in one word:"));
  EXPECT_EQ(find_prompts("retrieval", ChatTemplate::kChatMl).text,
            "<|im_start|>user\n<sent>\nSummary above sentence in one word:<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(PromptsTest, OtherModelsHaveOnePromptForBothSidesOfASearch) {
  EXPECT_EQ(query_task("retrieval"), "query");
  EXPECT_EQ(query_task("sts"), "sts");
  for (const std::string& chat : chat_template_names()) {
    if (chat == "qwen3-vl-embedding") continue;
    const Prompts retrieval = find_prompts("retrieval", find_chat_template(chat));
    for (const char* side : {"query", "document"}) {
      EXPECT_EQ(find_prompts(side, find_chat_template(chat)).text, retrieval.text) << chat;
      EXPECT_EQ(find_prompts(side, find_chat_template(chat)).image, retrieval.image) << chat;
    }
  }
}

TEST(PromptsTest, UnknownNamesGetTheList) {
  try {
    find_prompts("retreival", ChatTemplate::kPlain);
    ADD_FAILURE();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("retreival"), HasSubstr("fashioniq-dress")));
  }
  EXPECT_THROW(find_chat_template("llama4"), ConfigError);
  for (const std::string& name : chat_template_names()) EXPECT_NO_THROW(find_chat_template(name));
  for (const std::string& name : prompt_task_names()) {
    EXPECT_EQ(find_prompts(name, ChatTemplate::kPlain).task, name);
  }
}

TEST(PromptsTest, ChoosesByWhatTheItemHas) {
  const Prompts retrieval = find_prompts("retrieval", ChatTemplate::kPlain);
  EXPECT_EQ(retrieval.choose(true, false), retrieval.text);
  EXPECT_EQ(retrieval.choose(false, true), retrieval.image);
  EXPECT_THROW(retrieval.choose(true, true), InputError);
  EXPECT_THROW(retrieval.choose(false, false), InputError);
  const Prompts cirr = find_prompts("cirr", ChatTemplate::kPlain);
  EXPECT_EQ(cirr.choose(true, true), cirr.composed);
  EXPECT_THROW(cirr.choose(true, false), InputError);
}

TEST(RenderPromptTest, TheTemplateMayHoldControlTokensAndTheTextNot) {
  EXPECT_THAT(render_prompt("<image> to <sent>!", "<eot>", 1),
              ElementsAre(PromptSpan{"<image> to ", true}, PromptSpan{"<eot>", false},
                          PromptSpan{"!", true}));
  EXPECT_THAT(render_prompt("<image> to <sent>!", "<eot>", 1, true),
              ElementsAre(PromptSpan{"<image> to <eot>!", true}));
}

TEST(RenderPromptTest, APlaceholderInTheTextIsNotFilledIn) {
  EXPECT_THAT(render_prompt("<sent>", "<sent> <image>", 0),
              ElementsAre(PromptSpan{"<sent> <image>", false}));
}

TEST(RenderPromptTest, EveryPlaceForTheTextGetsIt) {
  EXPECT_THAT(render_prompt("<sent>-<sent>", "x", 0),
              ElementsAre(PromptSpan{"x", false}, PromptSpan{"-", true}, PromptSpan{"x", false}));
}

TEST(RenderPromptTest, OnePlaceHoldsSeveralPictures) {
  EXPECT_THAT(render_prompt("<image>!", std::nullopt, 2, false, "<p>"),
              ElementsAre(PromptSpan{"<p><p>!", true}));
  EXPECT_THAT(render_prompt("<image>\n", std::nullopt, 3),
              ElementsAre(PromptSpan{"<image><image><image>\n", true}));
  EXPECT_THAT(render_prompt("<image>, <image>", std::nullopt, 2),
              ElementsAre(PromptSpan{"<image>, <image>", true}));
}

TEST(RenderPromptTest, PartsWithoutAPlaceAndPlacesWithoutAPartAreErrors) {
  EXPECT_THROW(render_prompt("<sent>", std::nullopt, 0), InputError);
  EXPECT_THROW(render_prompt("no place", "text", 0), InputError);
  EXPECT_THROW(render_prompt("no place", std::nullopt, 1), InputError);
  EXPECT_THROW(render_prompt("<image>", std::nullopt, 0), InputError);
  EXPECT_THROW(render_prompt("<image> <image>", std::nullopt, 3), InputError);
  EXPECT_THAT(render_prompt("fixed words", std::nullopt, 0),
              ElementsAre(PromptSpan{"fixed words", true}));
}

TEST(RenderPromptTest, AnEmptyTextIsAText) {
  EXPECT_THAT(render_prompt("a<sent>b", "", 0), ElementsAre(PromptSpan{"ab", true}));
}

}  // namespace
}  // namespace e5v::detail
