#include "e5v/eval/vectors_system.h"

#include <ATen/ATen.h>

#include <cstring>

#include "e5v/base/error.h"
#include "e5v/base/npy.h"

namespace e5v::detail {
namespace {

/// A file of vectors that is handed out from its beginning on.
class VectorFile {
 public:
  VectorFile(std::filesystem::path path, std::string flag)
      : path_(std::move(path)), flag_(std::move(flag)) {}

  /// The next `count` vectors, made to be of length 1.
  Embedded next(size_t count) {
    if (path_.empty()) {
      throw ConfigError(fmt::format("this task needs vectors of its {}: --{}-vectors FILE.npy",
                                    flag_ == "query" ? "queries" : flag_ + "s", flag_));
    }
    if (!is_read_) read();
    if (next_ + static_cast<int64_t>(count) > vectors_.size()) {
      throw InputError(
          fmt::format("{}: has {} vectors, but the data set has {} or more items of "
                      "that kind; are they of another split?",
                      path_.native(), vectors_.size(), next_ + count));
    }
    Embedded result;
    for (size_t i = 0; i < count; ++i) {
      result.vectors.append(vectors_[next_++]);
    }
    normalize(result.vectors, path_.native());
    return result;
  }

  void finish() const {
    if (!is_read_ || next_ == vectors_.size()) return;
    throw InputError(
        fmt::format("{}: has {} vectors, but the data set {} items of that kind; are "
                    "they of another split?",
                    path_.native(), vectors_.size(), next_));
  }

 private:
  void read() {
    const NpyArray array(path_);
    if (array.shape().size() != 2 || array.shape()[1] < 1) {
      throw FormatError(path_.native(), "is not a table of vectors, expected the shape [N, D]");
    }
    const auto count = static_cast<size_t>(array.num_elements());
    vectors_.dimensions = array.shape()[1];
    vectors_.values.resize(count);
    if (array.type() == NpyType::kFloat32) {
      std::memcpy(vectors_.values.data(), array.bytes().data(), count * sizeof(float));
    } else if (array.type() == NpyType::kFloat16) {
      const std::byte* bytes = array.bytes().data();
      for (size_t i = 0; i < count; ++i) {
        at::Half half;
        std::memcpy(&half, bytes + 2 * i, 2);
        vectors_.values[i] = static_cast<float>(half);
      }
    } else {
      throw FormatError(path_.native(), fmt::format("holds {}, expected float32 or float16",
                                                    npy_type_name(array.type())));
    }
    is_read_ = true;
  }

  std::filesystem::path path_;
  std::string flag_;
  Vectors vectors_;
  int64_t next_ = 0;
  bool is_read_ = false;
};

class VectorsSystem final : public System {
 public:
  explicit VectorsSystem(const VectorFiles& files)
      : files_(files),
        texts_(files.texts, "text"),
        images_(files.images, "image"),
        queries_(files.queries, "query") {}

  Json describe() const override {
    return {{"system", "vectors"},
            {"text_vectors", files_.texts.string()},
            {"image_vectors", files_.images.string()},
            {"query_vectors", files_.queries.string()}};
  }
  bool needs_images() const override { return false; }
  Embedded texts(std::span<const std::string> texts, const std::string&) override {
    return texts_.next(texts.size());
  }
  Embedded images(std::span<const EvalImage> images, const std::string&) override {
    return images_.next(images.size());
  }
  Embedded queries(std::span<const ComposedQuery> queries, const std::string&) override {
    return queries_.next(queries.size());
  }
  void finish() override {
    texts_.finish();
    images_.finish();
    queries_.finish();
  }

 private:
  VectorFiles files_;
  VectorFile texts_, images_, queries_;
};

}  // namespace

std::unique_ptr<System> make_vectors_system(const VectorFiles& files) {
  return std::make_unique<VectorsSystem>(files);
}

}  // namespace e5v::detail
