#include "e5v/eval/retrieval.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "e5v/base/error.h"
#include "e5v/base/file.h"
#include "e5v/eval/data_options.h"

namespace e5v {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kCaptionFiles = {
    "dataset_flickr30k.json",
    "dataset_coco.json",
    "dataset.json",
    "captions_val2017.json",
    "annotations/captions_val2017.json",
    "captions_val2014.json",
    "annotations/captions_val2014.json",
    "results_20130124.token",
    "captions.txt",
    "captions.tsv",
    "captions.csv",
    "captions.jsonl",
};

/// Collects captions by picture, in the order in which pictures first appear.
class SetBuilder {
 public:
  SetBuilder(const fs::path& file, const RetrievalData& data) : file_(file), data_(data) {
    const fs::path base = file.parent_path();
    if (!data.images.empty()) {
      roots_ = {data.images};
    } else {
      for (const char* name : {"images", "flickr30k-images", "val2017", "val2014", "train2014",
                               "../images", "../val2017", "../val2014", "."}) {
        roots_.push_back(base / name);
      }
    }
  }

  /// `names` are the paths under which the picture may be found.
  size_t add_image(const std::string& id, std::vector<std::string> names) {
    if (const auto found = index_.find(id); found != index_.end()) return found->second;
    index_.emplace(id, images_.size());
    fs::path path = find_picture(roots_, names);
    if (path.empty()) path = roots_.front() / names.front();
    images_.push_back({.id = id, .path = std::move(path), .drawn_text = {}});
    captions_.emplace_back();
    return images_.size() - 1;
  }
  bool has_image(const std::string& id) const { return index_.contains(id); }
  size_t image(const std::string& id) const { return index_.at(id); }

  /// A split that the file has.
  void add_split(const std::string& split) { splits_.insert(printable(split)); }

  void add_caption(size_t image, std::string caption, const std::string& place) {
    const bool is_empty = caption.find_first_not_of(" \t\r\n") == std::string::npos;
    if (is_empty) throw FormatError(file_.native(), place + ": the caption is empty");
    captions_[image].push_back(std::move(caption));
  }

  RetrievalSet finish() {
    RetrievalSet set;
    set.source = file_.string();
    for (size_t i = 0; i < images_.size(); ++i) {
      std::vector<std::string>& captions = captions_[i];
      if (captions.empty()) continue;  // nothing to be found by, or to find
      const auto limit = static_cast<size_t>(data_.captions_per_image);
      if (limit > 0 && captions.size() > limit) captions.resize(limit);
      set.images.push_back(std::move(images_[i]));
      for (std::string& caption : captions) {
        set.captions.push_back(std::move(caption));
        set.image_of_caption.push_back(static_cast<int64_t>(set.images.size()) - 1);
      }
    }
    if (set.captions.empty()) {
      throw FormatError(file_.native(),
                        splits_.empty()
                            ? "has no captions"
                            : fmt::format("has no captions of split '{}', only of {}",
                                          printable(data_.split), fmt::join(splits_, ", ")));
    }
    return set;
  }

 private:
  fs::path file_;
  const RetrievalData& data_;
  std::vector<fs::path> roots_;
  std::set<std::string> splits_;
  std::vector<EvalImage> images_;
  std::vector<std::vector<std::string>> captions_;
  std::unordered_map<std::string, size_t> index_;
};

void read_karpathy(const Json& json, const std::string& split, const fs::path& file,
                   SetBuilder& builder) {
  std::vector<std::string> ids;
  for (const Json& image : require_field<Json>(json, "images")) {
    const auto split_of_image = field_or<std::string>(image, "split", "");
    builder.add_split(split_of_image);
    if (split_of_image != split) continue;
    const auto name = require_field<std::string>(image, "filename");
    const auto folder = field_or<std::string>(image, "filepath", "");
    ids.push_back(name);
    std::vector<std::string> names = {name};
    if (!folder.empty()) names.insert(names.begin(), folder + "/" + name);
    const size_t index = builder.add_image(name, names);
    for (const Json& sentence : require_field<Json>(image, "sentences")) {
      builder.add_caption(index, require_field<std::string>(sentence, "raw"),
                          fmt::format("picture '{}'", printable(name)));
    }
  }
  check_unique(ids, file.native());
}

void read_coco(const Json& json, const fs::path& file, SetBuilder& builder) {
  std::vector<std::string> ids;
  for (const Json& image : require_field<Json>(json, "images")) {
    ids.push_back(std::to_string(require_field<int64_t>(image, "id")));
    builder.add_image(ids.back(), {require_field<std::string>(image, "file_name")});
  }
  check_unique(ids, file.native());
  for (const Json& annotation : require_field<Json>(json, "annotations")) {
    const std::string id = std::to_string(require_field<int64_t>(annotation, "image_id"));
    if (!builder.has_image(id)) {
      throw FormatError(file.native(),
                        fmt::format("a caption is of picture {}, which is not in 'images'", id));
    }
    builder.add_caption(builder.image(id), require_field<std::string>(annotation, "caption"),
                        "picture " + id);
  }
}

/// Flickr30K numbers a picture's captions behind its name: 1000092795.jpg#0.
std::string without_number(const std::string& name) {
  const size_t hash = name.rfind('#');
  const bool numbered = hash != std::string::npos && hash + 1 < name.size() &&
                        name.find_first_not_of("0123456789", hash + 1) == std::string::npos;
  return numbered ? name.substr(0, hash) : name;
}

void read_table(const fs::path& file, char separator, SetBuilder& builder) {
  const std::string text = read_file(file);
  int64_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    const size_t tab = line.find(separator);
    if (tab == std::string::npos) {
      throw FormatError(file.native(),
                        fmt::format("line {} has no {}, expected a picture's name and a caption",
                                    line_number, separator == '\t' ? "tab" : "comma"));
    }
    std::string name = line.substr(0, tab), caption = line.substr(tab + 1);
    const bool is_header = line_number == 1 && (name == "image" || name == "image_name");
    if (is_header) continue;
    const bool is_quoted =
        separator == ',' && caption.size() > 1 && caption.front() == '"' && caption.back() == '"';
    if (is_quoted) {
      std::string plain;
      for (size_t i = 1; i + 1 < caption.size(); ++i) {
        plain.push_back(caption[i]);
        if (caption[i] == '"') ++i;  // a doubled quote is one
      }
      caption = std::move(plain);
    }
    name = without_number(name);
    builder.add_caption(builder.add_image(name, {name}), std::move(caption),
                        fmt::format("line {}", line_number));
  }
}

void read_lines_of_json(const fs::path& file, SetBuilder& builder) {
  const std::string text = read_file(file);
  int64_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const std::string place = fmt::format("line {}", ++line_number);
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Json json = parse_json(line, fmt::format("{}: {}", file.native(), place));
    const auto name = require_field<std::string>(json, "image");
    const size_t image = builder.add_image(name, {name});
    if (const auto caption = find_field<std::string>(json, "caption")) {
      builder.add_caption(image, *caption, place);
    }
    for (std::string& caption :
         field_or<std::vector<std::string>>(json, "captions", std::vector<std::string>{})) {
      builder.add_caption(image, std::move(caption), place);
    }
  }
}

RetrievalExample::Found found_image(const RetrievalSet& set, int64_t image, double score,
                                    bool is_right) {
  return {.image = set.images[static_cast<size_t>(image)],
          .text = {},
          .score = score,
          .is_right = is_right};
}

/// Examples of one direction; `by_text` = pictures are found by captions.
std::vector<RetrievalExample> examples_of(const RetrievalSet& set,
                                          const std::vector<RankedQuery>& ranked,
                                          const std::vector<size_t>& queries, bool by_text) {
  constexpr size_t kShown = 5;
  std::vector<RetrievalExample> examples;
  for (const size_t q : queries) {
    RetrievalExample& example = examples.emplace_back();
    example.rank = ranked[q].best_rank;
    const int64_t right_image = by_text ? set.image_of_caption[q] : static_cast<int64_t>(q);
    if (by_text) {
      example.text = set.captions[q];
    } else {
      example.image = set.images[q];
    }
    for (size_t i = 0; i < std::min(kShown, ranked[q].top.size()); ++i) {
      const int64_t item = ranked[q].top[i];
      const double score = ranked[q].top_scores[i];
      const int64_t image = by_text ? item : set.image_of_caption[static_cast<size_t>(item)];
      if (by_text) {
        example.found.push_back(found_image(set, item, score, image == right_image));
      } else {
        example.found.push_back({.image = {},
                                 .text = set.captions[static_cast<size_t>(item)],
                                 .score = score,
                                 .is_right = image == right_image});
      }
    }
    if (example.rank < static_cast<int64_t>(kShown)) continue;
    if (by_text) {
      example.expected.push_back(found_image(set, right_image, 0, true));
    } else {
      const auto first =
          std::find(set.image_of_caption.begin(), set.image_of_caption.end(), right_image) -
          set.image_of_caption.begin();
      example.expected.push_back({.image = {},
                                  .text = set.captions[static_cast<size_t>(first)],
                                  .score = 0,
                                  .is_right = true});
    }
  }
  return examples;
}

std::vector<int64_t> ranks_of(const std::vector<RankedQuery>& ranked) {
  std::vector<int64_t> ranks;
  for (const RankedQuery& query : ranked) ranks.push_back(query.best_rank);
  return ranks;
}

/// Captions as pictures that show them.
std::vector<EvalImage> drawn(const std::vector<std::string>& captions) {
  std::vector<EvalImage> images;
  for (size_t i = 0; i < captions.size(); ++i) {
    images.push_back(
        {.id = fmt::format("caption {}", i + 1), .path = {}, .drawn_text = captions[i]});
  }
  return images;
}

/// Without pictures (and their captions) or captions that have no vector.
RetrievalSet keep(const RetrievalSet& set, const std::vector<bool>& images,
                  const std::vector<bool>& captions, std::vector<bool>& kept_images,
                  std::vector<bool>& kept_captions) {
  RetrievalSet kept;
  kept.source = set.source;
  kept_images.assign(images.size(), false);
  kept_captions.assign(captions.size(), false);
  for (size_t c = 0; c < set.captions.size(); ++c) {
    const auto image = static_cast<size_t>(set.image_of_caption[c]);
    kept_captions[c] = images[image] && captions[c];
    if (!kept_captions[c]) continue;
    if (!kept_images[image]) kept.images.push_back(set.images[image]);
    kept_images[image] = true;
    kept.captions.push_back(set.captions[c]);
    kept.image_of_caption.push_back(static_cast<int64_t>(kept.images.size()) - 1);
  }
  if (kept.captions.empty()) {
    throw InputError(fmt::format("{}: nothing is left to be evaluated", set.source));
  }
  return kept;
}

class RetrievalEvaluation final : public Evaluation {
 public:
  explicit RetrievalEvaluation(bool draw_captions) : draw_captions_(draw_captions) {}

  void register_options(OptionRegistry& registry) override {
    options_.register_options(registry);
    options_.register_examples(registry);
    registry.add("captions-per-image", captions_per_image_,
                 "Captions of each picture at the most, the first ones; 0 = all");
  }
  void validate() const override { options_.validate(); }
  TaskReport run(const MakeSystem& make_system) const override {
    validate();
    RetrievalSet set = load_retrieval({.path = options_.data,
                                       .images = options_.images,
                                       .split = options_.split,
                                       .captions_per_image = captions_per_image_});
    RetrievalOptions retrieval;
    retrieval.on_missing = options_.on_missing;
    retrieval.draw_captions = draw_captions_;
    retrieval.num_examples = static_cast<size_t>(options_.num_examples);
    return evaluate_retrieval(*make_system(), std::move(set), retrieval);
  }

 private:
  bool draw_captions_;
  DataOptions options_{"test"};
  int64_t captions_per_image_ = RetrievalData().captions_per_image;
};

}  // namespace

RetrievalSet load_retrieval(const RetrievalData& data) {
  const fs::path file = fs::is_directory(data.path)
                            ? find_data_file(data.path, kCaptionFiles, "captions")
                            : data.path;
  if (data.captions_per_image < 0) {
    throw ConfigError(fmt::format("'captions-per-image' is {}, expected 0 (all) or more",
                                  data.captions_per_image));
  }
  SetBuilder builder(file, data);
  try {
    if (file.extension() == ".json") {
      const Json json = read_json(file);
      if (json.is_object() && json.contains("annotations")) {
        read_coco(json, file, builder);
      } else {
        read_karpathy(json, data.split, file, builder);
      }
    } else if (file.extension() == ".jsonl") {
      read_lines_of_json(file, builder);
    } else {
      read_table(file, file.extension() == ".csv" ? ',' : '\t', builder);
    }
  } catch (const ConfigError& error) {
    throw FormatError(file.native(), error.what());
  }
  return builder.finish();
}

RetrievalSet keep_present(RetrievalSet set, OnMissing on_missing,
                          std::vector<std::string>& skipped) {
  const std::vector<bool> present = check_images(set.images, on_missing, skipped);
  std::vector<bool> images, captions;
  return keep(set, present, std::vector<bool>(set.captions.size(), true), images, captions);
}

TaskReport evaluate_retrieval(System& system, RetrievalSet set, const RetrievalOptions& options) {
  TaskReport report;
  report.system = system.describe();
  if (system.needs_images()) {
    set = keep_present(std::move(set), options.on_missing, report.skipped);
  }
  const Embedded images = system.images(set.images, "retrieval");
  const Embedded captions = options.draw_captions ? system.images(drawn(set.captions), "retrieval")
                                                  : system.texts(set.captions, "retrieval");
  system.finish();
  const auto good_images = check_embedded(
      images, options.on_missing, [&](size_t i) { return set.images[i].id; }, report.skipped);
  const auto good_captions = check_embedded(
      captions, options.on_missing,
      [&](size_t i) { return fmt::format("caption '{}'", printable(set.captions[i])); },
      report.skipped);
  std::vector<bool> kept_images, kept_captions;
  set = keep(set, good_images, good_captions, kept_images, kept_captions);
  const Vectors image_vectors = select(images.vectors, kept_images);
  const Vectors text_vectors = select(captions.vectors, kept_captions);

  std::vector<std::vector<int64_t>> captions_of(set.images.size());
  for (size_t c = 0; c < set.captions.size(); ++c) {
    captions_of[static_cast<size_t>(set.image_of_caption[c])].push_back(static_cast<int64_t>(c));
  }
  const auto by_text = rank_gallery(
      text_vectors, image_vectors,
      [&](int64_t c) {
        return RankingQuery{.positives = {set.image_of_caption[static_cast<size_t>(c)]}};
      },
      options.ranking);
  const auto by_image = rank_gallery(
      image_vectors, text_vectors,
      [&](int64_t i) { return RankingQuery{.positives = captions_of[static_cast<size_t>(i)]}; },
      options.ranking);

  const std::vector<int64_t> text_ranks = ranks_of(by_text), image_ranks = ranks_of(by_image);
  report.add_recalls("image_retrieval_recall", text_ranks, {1, 5, 10});
  report.add_recalls("text_retrieval_recall", image_ranks, {1, 5, 10});
  report.data = {
      {"source", set.source}, {"images", set.images.size()}, {"captions", set.captions.size()}};
  report.histograms = {{"Place of the right picture, by caption", text_ranks},
                       {"Place of the first right caption, by picture", image_ranks}};
  const size_t count = options.num_examples;
  report.examples = {{"Captions whose picture was found least well",
                      examples_of(set, by_text, worst_queries(text_ranks, count), true)},
                     {"Captions whose picture was found best",
                      examples_of(set, by_text, best_queries(text_ranks, count), true)},
                     {"Pictures whose captions were found least well",
                      examples_of(set, by_image, worst_queries(image_ranks, count), false)}};
  return report;
}

std::unique_ptr<Evaluation> make_retrieval_evaluation() {
  return std::make_unique<RetrievalEvaluation>(/*draw_captions=*/false);
}

std::unique_ptr<Evaluation> make_drawn_caption_evaluation() {
  return std::make_unique<RetrievalEvaluation>(/*draw_captions=*/true);
}

PublishedFigures retrieval_figures(std::string system, const std::array<double, 6>& recalls) {
  PublishedFigures figures{std::move(system), {}};
  size_t next = 0;
  for (const char* direction : {"image", "text"}) {
    for (const int k : {1, 5, 10}) {
      figures.metrics[fmt::format("{}_retrieval_recall@{}", direction, k)] = recalls[next++];
    }
  }
  return figures;
}

}  // namespace e5v
