#include "e5v/convert/import_gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/base/json.h"
#include "e5v/checkpoint/checkpoint.h"
#include "e5v/checkpoint/gguf.h"
#include "e5v/convert/inspect_model.h"
#include "e5v/convert/random_model.h"
#include "e5v/families/load_model.h"
#include "e5v/families/registry.h"
#include "tests/support/temporary_folder.h"

namespace e5v::detail {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

struct Entry {
  std::string name;
  GgufType type;
  std::vector<int64_t> shape;
  std::string bytes;
};

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& out, const std::string& text) {
  append(out, static_cast<uint64_t>(text.size()));
  out += text;
}

/// A GGUF of that architecture, as its description says.
void write_gguf(const fs::path& path, const std::string& architecture,
                const std::vector<Entry>& entries) {
  std::string header = "GGUF", data;
  append(header, uint32_t{3});
  append(header, static_cast<uint64_t>(entries.size()));
  append(header, uint64_t{1});
  append_text(header, "general.architecture");
  append(header, uint32_t{8});
  append_text(header, architecture);
  for (const Entry& entry : entries) {
    append_text(header, entry.name);
    append(header, static_cast<uint32_t>(entry.shape.size()));
    for (size_t i = entry.shape.size(); i > 0; --i) {
      append(header, static_cast<uint64_t>(entry.shape[i - 1]));
    }
    append(header, static_cast<uint32_t>(entry.type));
    append(header, static_cast<uint64_t>(data.size()));
    data += entry.bytes;
    data.resize((data.size() + 31) / 32 * 32);
  }
  header.resize((header.size() + 31) / 32 * 32);
  write_file(path, header + data);
}

/// As llama.cpp's converter stores rows of q and k: of each head, rows of its two halves in turn.
std::string interleaved(const std::string& rows, size_t num_rows, size_t heads) {
  const size_t row = rows.size() / num_rows, size = num_rows / heads;
  std::string out;
  for (size_t head = 0; head < heads; ++head) {
    for (size_t i = 0; i < size / 2; ++i) {
      out += rows.substr((head * size + i) * row, row);
      out += rows.substr((head * size + size / 2 + i) * row, row);
    }
  }
  return out;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

std::string gguf_name_of(std::string name) {
  for (const auto& [ours, theirs] : std::vector<std::pair<std::string, std::string>>{
           {"language_model.model.layers.", "blk."},
           {"language_model.model.embed_tokens", "token_embd"},
           {"language_model.model.norm", "output_norm"},
           {"language_model.lm_head", "output"},
           {"vision_tower.vision_model.encoder.layers.", "v.blk."},
           {"vision_tower.vision_model.embeddings.class_embedding", "v.class_embd"},
           {"vision_tower.vision_model.embeddings.patch_embedding", "v.patch_embd"},
           {"vision_tower.vision_model.embeddings.position_embedding", "v.position_embd"},
           {"vision_tower.vision_model.pre_layrnorm", "v.pre_ln"},
           {"vision_tower.vision_model.post_layernorm", "v.post_ln"},
           {"multi_modal_projector.linear_1", "mm.0"},
           {"multi_modal_projector.linear_2", "mm.2"},
           {"image_newline", "model.image_newline"},
           {"post_attention_layernorm", "ffn_norm"},
           {"input_layernorm", "attn_norm"},
           {"self_attn.q_proj", "attn_q"},
           {"self_attn.k_proj", "attn_k"},
           {"self_attn.v_proj", "attn_v"},
           {"self_attn.o_proj", "attn_output"},
           {"self_attn.out_proj", "attn_out"},
           {"mlp.gate_proj", "ffn_gate"},
           {"mlp.up_proj", "ffn_up"},
           {"mlp.down_proj", "ffn_down"},
           {"layer_norm1", "ln1"},
           {"layer_norm2", "ln2"},
           // The first converters' names; its own are the other way round.
           {"mlp.fc1", "ffn_down"},
           {"mlp.fc2", "ffn_up"}}) {
    name = replaced(name, ours, theirs);
  }
  return name;
}

class ImportGgufTest : public testing::Test {
 protected:
  void SetUp() override {
    write_random_model(original(), {});
    const Checkpoint checkpoint = Checkpoint::open(original());
    for (const std::string& name : checkpoint.names()) {
      const TensorView view = *checkpoint.find(name);
      Entry entry{gguf_name_of(name),
                  GgufType::kBF16,
                  {view.shape.begin(), view.shape.end()},
                  std::string(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size())};
      const bool in_language_model = name.starts_with("language_model.");
      if (in_language_model && name.ends_with("q_proj.weight")) {
        entry.bytes = interleaved(entry.bytes, 64, 4);
      }
      if (in_language_model && name.ends_with("k_proj.weight")) {
        entry.bytes = interleaved(entry.bytes, 32, 2);
      }
      (in_language_model ? model_ : mmproj_).push_back(entry);
    }
  }
  fs::path original() const { return folder_ / "tiny"; }
  fs::path imported() const { return folder_ / "imported"; }

  GgufImport files() const {
    write_gguf(folder_ / "model.gguf", "llama", model_);
    write_gguf(folder_ / "mmproj.gguf", "clip", mmproj_);
    return {folder_ / "model.gguf", folder_ / "mmproj.gguf", original(), {}};
  }
  std::string message() const {
    try {
      import_gguf(files(), imported());
    } catch (const Error& error) {
      EXPECT_FALSE(fs::exists(imported()));
      return error.what();
    }
    return "nothing was thrown";
  }

  const TemporaryFolder folder_;
  std::vector<Entry> model_, mmproj_;
};

TEST_F(ImportGgufTest, GivesTheCheckpointThatTheFilesWereMadeOf) {
  EXPECT_EQ(import_gguf(files(), imported()), DType::BF16);
  const Checkpoint before = Checkpoint::open(original()), after = Checkpoint::open(imported());
  for (const std::string& name : after.names()) {
    const TensorView expected = before.find(name).value(), got = after.find(name).value();
    EXPECT_TRUE(std::equal(got.shape.begin(), got.shape.end(), expected.shape.begin(),
                           expected.shape.end()))
        << name;
    EXPECT_TRUE(std::equal(got.bytes.begin(), got.bytes.end(), expected.bytes.begin(),
                           expected.bytes.end()))
        << name;
  }
  const ModelInspection found = inspect_model(imported());
  EXPECT_EQ(found.problems(), "");
  EXPECT_TRUE(found.missing_files.empty());
  EXPECT_EQ(found.num_unused_tensors, 1u);  // the head
  load_model(imported());
}

TEST_F(ImportGgufTest, ReadsTheLaterNamesOfTheTowersMlp) {
  for (Entry& entry : mmproj_) {
    std::string& name = entry.name;
    name = name.find("ffn_up") != std::string::npos ? replaced(name, "ffn_up", "ffn_down")
                                                    : replaced(name, "ffn_down", "ffn_up");
  }
  import_gguf(files(), imported());
  const Checkpoint before = Checkpoint::open(original()), after = Checkpoint::open(imported());
  const std::string name = "vision_tower.vision_model.encoder.layers.0.mlp.fc1.bias";
  const auto expected = before.find(name)->bytes, got = after.find(name)->bytes;
  EXPECT_TRUE(std::equal(got.begin(), got.end(), expected.begin(), expected.end()));
}

TEST_F(ImportGgufTest, NamesAllThatIsMissingOrOfAnotherShape) {
  std::erase_if(model_, [](const Entry& e) { return e.name == "blk.1.ffn_up.weight"; });
  std::erase_if(mmproj_, [](const Entry& e) { return e.name == "mm.2.bias"; });
  for (Entry& entry : model_) {
    if (entry.name == "output_norm.weight") entry.shape = {32, 2};
  }
  EXPECT_THAT(message(), AllOf(HasSubstr("model.gguf lacks 'blk.1.ffn_up.weight'"),
                               HasSubstr("mmproj.gguf lacks 'mm.2.bias'"),
                               HasSubstr("'output_norm.weight' has [32, 2], expected [64]")));
}

TEST_F(ImportGgufTest, RefusesValuesThatAreNotFinite) {
  model_.front().bytes[0] = '\x80';
  model_.front().bytes[1] = '\x7f';
  EXPECT_THAT(message(), HasSubstr("is not finite"));
}

TEST_F(ImportGgufTest, RefusesAnotherArchitecture) {
  GgufImport source = files();
  std::swap(source.model, source.mmproj);
  try {
    import_gguf(source, imported());
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr("architecture is 'clip', expected 'llama'"));
  }
}

std::string qwen3_vl_gguf_name_of(std::string name) {
  for (const auto& [ours, theirs] : std::vector<std::pair<std::string, std::string>>{
           {"model.language_model.layers.", "blk."},
           {"model.language_model.embed_tokens", "token_embd"},
           {"model.language_model.norm", "output_norm"},
           {"model.visual.blocks.", "v.blk."},
           {"model.visual.patch_embed.proj", "v.patch_embd"},
           {"model.visual.pos_embed", "v.position_embd"},
           {"model.visual.merger.norm", "v.post_ln"},
           {"model.visual.merger.linear_fc1", "mm.0"},
           {"model.visual.merger.linear_fc2", "mm.2"},
           // The tiny preset's tower feeds DeepStack from layers 0, 2 and 3.
           {"model.visual.deepstack_merger_list.0.linear_", "v.deepstack.0."},
           {"model.visual.deepstack_merger_list.1.linear_", "v.deepstack.2."},
           {"model.visual.deepstack_merger_list.2.linear_", "v.deepstack.3."},
           {"model.visual.deepstack_merger_list.0.", "v.deepstack.0."},
           {"model.visual.deepstack_merger_list.1.", "v.deepstack.2."},
           {"model.visual.deepstack_merger_list.2.", "v.deepstack.3."},
           {"post_attention_layernorm", "ffn_norm"},
           {"input_layernorm", "attn_norm"},
           {"self_attn.q_proj", "attn_q"},
           {"self_attn.k_proj", "attn_k"},
           {"self_attn.v_proj", "attn_v"},
           {"self_attn.o_proj", "attn_output"},
           {"self_attn.q_norm", "attn_q_norm"},
           {"self_attn.k_norm", "attn_k_norm"},
           {"mlp.gate_proj", "ffn_gate"},
           {"mlp.up_proj", "ffn_up"},
           {"mlp.down_proj", "ffn_down"},
           {"norm1", "ln1"},
           {"norm2", "ln2"},
           {"attn.qkv", "attn_qkv"},
           {"attn.proj", "attn_out"},
           {"mlp.linear_fc1", "ffn_up"},
           {"mlp.linear_fc2", "ffn_down"}}) {
    name = replaced(name, ours, theirs);
  }
  return name;
}

/// One frame of [out, channels, 2, p, p] as [out, channels, p, p], 2 bytes a value.
std::string frame_of(const std::string& bytes, size_t plane_bytes, size_t frame) {
  std::string out;
  for (size_t at = frame * plane_bytes; at < bytes.size(); at += 2 * plane_bytes) {
    out += bytes.substr(at, plane_bytes);
  }
  return out;
}

TEST(ImportQwen3VlGgufTest, GivesTheCheckpointThatTheFilesWereMadeOf) {
  const TemporaryFolder folder;
  write_random_model(folder / "tiny", {.preset = "qwen3-vl-tiny"});
  const Checkpoint before = Checkpoint::open(folder / "tiny");
  std::vector<Entry> model, mmproj;
  for (const std::string& name : before.names()) {
    const TensorView view = *before.find(name);
    Entry entry{qwen3_vl_gguf_name_of(name),
                GgufType::kBF16,
                {view.shape.begin(), view.shape.end()},
                std::string(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size())};
    if (entry.shape.size() == 5) {
      const std::string both = entry.bytes;
      const auto plane_bytes = static_cast<size_t>(entry.shape[3] * entry.shape[4] * 2);
      entry.shape = {entry.shape[0], entry.shape[1], entry.shape[3], entry.shape[4]};
      entry.bytes = frame_of(both, plane_bytes, 1);
      mmproj.push_back(entry);
      mmproj.back().name += ".1";
      entry.bytes = frame_of(both, plane_bytes, 0);
    }
    (name.starts_with("model.language_model.") ? model : mmproj).push_back(entry);
  }
  write_gguf(folder / "model.gguf", "qwen3vl", model);
  write_gguf(folder / "mmproj.gguf", "clip", mmproj);
  import_gguf({folder / "model.gguf", folder / "mmproj.gguf", folder / "tiny", {}},
              folder / "imported");
  const Checkpoint after = Checkpoint::open(folder / "imported");
  EXPECT_EQ(after.names(), before.names());
  for (const std::string& name : after.names()) {
    const TensorView expected = before.find(name).value(), got = after.find(name).value();
    EXPECT_TRUE(std::equal(got.shape.begin(), got.shape.end(), expected.shape.begin(),
                           expected.shape.end()))
        << name;
    EXPECT_TRUE(std::equal(got.bytes.begin(), got.bytes.end(), expected.bytes.begin(),
                           expected.bytes.end()))
        << name;
  }
  EXPECT_EQ(inspect_model(folder / "imported").problems(), "");
}

}  // namespace
}  // namespace e5v::detail
