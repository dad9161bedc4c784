#include "e5v/train/concepts.h"

#include <algorithm>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/text_file.h"

namespace e5v::detail {
namespace {

constexpr const char* kEverydayThings[] = {
    "person",   "crowd",    "child",    "dog",        "cat",       "bird",       "horse",
    "cow",      "sheep",    "bear",     "elephant",   "zebra",     "giraffe",    "fish",
    "insect",   "flower",   "tree",     "forest",     "grass",     "mountain",   "river",
    "lake",     "beach",    "sea",      "sky",        "snow",      "street",     "road",
    "bridge",   "building", "house",    "church",     "tower",     "city",       "park",
    "garden",   "kitchen",  "bedroom",  "bathroom",   "office",    "shop",       "restaurant",
    "car",      "bus",      "truck",    "train",      "bicycle",   "motorcycle", "airplane",
    "boat",     "sign",     "clock",    "bench",      "chair",     "sofa",       "table",
    "bed",      "lamp",     "window",   "door",       "mirror",    "book",       "newspaper",
    "computer", "keyboard", "phone",    "television", "camera",    "bottle",     "glass",
    "cup",      "plate",    "bowl",     "knife",      "fork",      "spoon",      "bread",
    "cake",     "pizza",    "sandwich", "salad",      "soup",      "meat",       "fruit",
    "apple",    "banana",   "orange",   "vegetable",  "shirt",     "dress",      "skirt",
    "trousers", "jacket",   "coat",     "hat",        "shoe",      "bag",        "umbrella",
    "ball",     "toy",      "kite",     "skateboard", "surfboard", "skis",       "guitar",
    "painting", "statue",   "drawing",  "text",       "pattern",   "flag",       "fence",
    "wall",     "field"};

}  // namespace

const std::vector<std::string>& general_phrases() {
  static const std::vector<std::string> phrases = {
      "a photo of $",      "a picture with $ in it", "a close look at $", "$ seen from afar",
      "a drawing of $",    "two people beside $",    "$ on a sunny day",  "$ in a room",
      "an old photo of $", "$ with a new color"};
  return phrases;
}

std::vector<Concept> everyday_concepts() {
  std::vector<Concept> concepts;
  for (const char* name : kEverydayThings) concepts.push_back({name, general_phrases()});
  return concepts;
}

std::vector<Concept> read_concepts(const std::filesystem::path& path) {
  const std::string text = read_text_file(path);
  std::vector<Concept> concepts;
  size_t line_number = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == text.npos) end = text.size();
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (line.empty()) continue;
    Concept read;
    for (size_t begin = 0; begin <= line.size();) {
      const size_t tab = std::min(line.find('\t', begin), line.size());
      std::string field(line.substr(begin, tab - begin));
      if (begin == 0) {
        read.name = std::move(field);
      } else if (field.empty()) {
        // a tab at the line's end
      } else if (field.find('$') != field.npos) {
        read.phrases.push_back(std::move(field));
      } else {
        throw FormatError(path.native(), fmt::format("line {}: the phrase '{}' has no '$', which "
                                                     "stands for the concept",
                                                     line_number, printable(field, 60)));
      }
      begin = tab + 1;
    }
    if (read.name.find_first_not_of(" \t") == read.name.npos) {
      throw FormatError(path.native(), fmt::format("line {}: the concept is empty", line_number));
    }
    if (read.phrases.empty()) read.phrases = general_phrases();
    concepts.push_back(std::move(read));
  }
  if (concepts.empty()) throw FormatError(path.native(), "has no concepts, expected one a line");
  return concepts;
}

std::string fill_phrase(std::string_view phrase, std::string_view name) {
  std::string text(phrase);
  const size_t place = text.find('$');
  E5V_ASSERT(place != text.npos);
  return text.replace(place, 1, name);
}

}  // namespace e5v::detail
