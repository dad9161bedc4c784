#include "e5v/train/nli.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "e5v/base/error.h"
#include "e5v/base/json.h"
#include "e5v/base/text_file.h"
#include "e5v/base/utf8.h"

namespace e5v::detail {
namespace {

std::string stripped(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

/// nullopt for "-", the label of pairs on which the annotators did not agree (-1 in some forms).
/// Throws InputError for what is no label at all.
std::optional<NliPair::Label> parse_label(const std::string& text) {
  using enum NliPair::Label;
  if (text == "entailment" || text == "0") return kEntailment;
  if (text == "neutral" || text == "1") return kNeutral;
  if (text == "contradiction" || text == "2") return kContradiction;
  if (text == "-" || text == "-1") return std::nullopt;
  throw InputError(fmt::format("label '{}', expected entailment, neutral, contradiction or -",
                               printable(text, 40)));
}

/// Hands pairs on, and bad rows to whoever wants them.
class PairSink {
 public:
  PairSink(const std::filesystem::path& path, OnBadRow on_bad_row,
           const std::function<void(NliPair)>& on_pair, const TripletFile::OnSkip& on_skip)
      : path_(path), on_bad_row_(on_bad_row), on_pair_(on_pair), on_skip_(on_skip) {}

  void add(uint64_t line, const std::string& label, std::string_view premise,
           std::string_view hypothesis) {
    try {
      const auto known = parse_label(label);
      NliPair pair{stripped(premise), stripped(hypothesis),
                   known.value_or(NliPair::Label::kNeutral)};
      if (!known) return;
      // SNLI has a few hypotheses that are the text "n/a" or empty: nothing to learn from.
      if (pair.premise.empty() || pair.hypothesis.empty()) throw InputError("an empty sentence");
      for (const std::string& text : {pair.premise, pair.hypothesis}) {
        if (find_invalid_utf8(text) != std::string_view::npos) throw InputError("invalid UTF-8");
      }
      on_pair_(std::move(pair));
    } catch (const InputError& error) {
      bad_row(line, 1, error.what());
    }
  }

  void bad_row(uint64_t line, uint64_t column, std::string_view problem) {
    const FormatError error(path_.native(),
                            fmt::format("line {}, column {}: {}", line, column, problem));
    if (on_bad_row_ == OnBadRow::kStop) throw error;
    if (on_skip_) on_skip_(error.what());
  }

 private:
  const std::filesystem::path& path_;
  OnBadRow on_bad_row_;
  const std::function<void(NliPair)>& on_pair_;
  const TripletFile::OnSkip& on_skip_;
};

/// Calls `use(line number, line)`, lines without their ends.
template <class Use>
void for_each_line(std::string_view text, const Use& use) {
  uint64_t line = 1;
  for (size_t at = 0; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size());
    use(line, text.substr(at, end - at));
    at = end + 1;
  }
}

void read_jsonl(const std::filesystem::path& path, PairSink& sink) {
  const MappedText file(path);
  for_each_line(file.text(), [&](uint64_t line, std::string_view text) {
    if (stripped(text).empty()) return;
    try {
      const Json json = parse_json(text, "row");
      sink.add(line, require_field<std::string>(json, "gold_label"),
               require_field<std::string>(json, "sentence1"),
               require_field<std::string>(json, "sentence2"));
    } catch (const ConfigError& error) {
      sink.bad_row(line, 1, error.what());
    } catch (const FormatError& error) {
      sink.bad_row(line, 1, error.what());
    }
  });
}

void read_table(const std::filesystem::path& path, const DelimitedFormat& format, PairSink& sink) {
  const MappedText file(path);
  const std::string_view text = file.text();
  if (text.empty()) throw FormatError(path.native(), "is empty");
  const DelimitedRecord header = read_delimited(text, 0, format);
  const auto column = [&](std::string_view name, std::string_view other) {
    const auto found =
        std::find_if(header.fields.begin(), header.fields.end(), [&](const std::string& field) {
          return column_name(field) == name || column_name(field) == other;
        });
    if (found == header.fields.end()) {
      throw FormatError(path.native(), fmt::format("line 1: no column '{}'", name));
    }
    return static_cast<size_t>(found - header.fields.begin());
  };
  const size_t label = column("gold_label", "label"), premise = column("sentence1", "premise"),
               hypothesis = column("sentence2", "hypothesis");
  uint64_t line = 1 + header.lines;
  for (size_t at = header.end; at < text.size();) {
    const DelimitedRecord record = read_delimited(text, at, format);
    if (!record.problem.empty()) {
      sink.bad_row(line + record.problem_line, record.problem_column, record.problem);
    } else if (record.fields.size() <= std::max({label, premise, hypothesis})) {
      const bool blank = record.fields.size() == 1 && stripped(record.fields[0]).empty();
      if (!blank) sink.bad_row(line, record.end - at, "too few fields");
    } else {
      sink.add(line, record.fields[label], record.fields[premise], record.fields[hypothesis]);
    }
    at = record.end;
    line += record.lines;
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for_each_line(text, [&](uint64_t, std::string_view line) { lines.push_back(line); });
  return lines;
}

/// s1.NAME, s2.NAME and labels.NAME of one folder.
void read_parallel_files(const std::filesystem::path& folder, const std::string& name,
                         OnBadRow on_bad_row, const std::function<void(NliPair)>& on_pair,
                         const TripletFile::OnSkip& on_skip) {
  const std::filesystem::path label_path = folder / ("labels." + name);
  const MappedText premise_file(folder / ("s1." + name)), hypothesis_file(folder / ("s2." + name)),
      label_file(label_path);
  const auto premises = lines_of(premise_file.text()),
             hypotheses = lines_of(hypothesis_file.text()), labels = lines_of(label_file.text());
  if (premises.size() != hypotheses.size() || premises.size() != labels.size()) {
    throw FormatError(label_path.native(),
                      fmt::format("has {} lines, s1 and s2 beside it have {} and {}", labels.size(),
                                  premises.size(), hypotheses.size()));
  }
  PairSink sink(label_path, on_bad_row, on_pair, on_skip);
  for (size_t i = 0; i < labels.size(); ++i) {
    sink.add(i + 1, stripped(labels[i]), premises[i], hypotheses[i]);
  }
}

void read_folder(const std::filesystem::path& folder, OnBadRow on_bad_row,
                 const std::function<void(NliPair)>& on_pair, const TripletFile::OnSkip& on_skip) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string file = entry.path().filename();
    if (file.starts_with("labels.")) names.push_back(file.substr(7));
  }
  if (names.empty()) {
    throw FileError(folder.native(), "cannot read", "no labels.* beside s1.* and s2.* in it");
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    read_parallel_files(folder, name, on_bad_row, on_pair, on_skip);
  }
}

}  // namespace

void read_nli(const std::filesystem::path& path, OnBadRow on_bad_row,
              const std::function<void(NliPair)>& on_pair, const TripletFile::OnSkip& on_skip) {
  if (std::filesystem::is_directory(path)) return read_folder(path, on_bad_row, on_pair, on_skip);
  const std::string extension = path.extension();
  PairSink sink(path, on_bad_row, on_pair, on_skip);
  if (extension == ".jsonl") {
    read_jsonl(path, sink);
  } else if (extension == ".csv") {
    read_table(path, {}, sink);
  } else if (extension == ".tsv" || extension == ".txt") {
    read_table(path, {.delimiter = '\t', .quotes = false}, sink);
  } else {
    throw FormatError(path.native(),
                      "expected a folder or a name that ends in .jsonl, .tsv, .txt or .csv");
  }
}

void NliTriplets::add(NliPair pair) {
  if (pair.label == NliPair::Label::kNeutral) return;
  const auto [found, is_new] = index_of_.try_emplace(pair.premise, premises_.size());
  if (is_new) premises_.emplace_back(std::move(pair.premise), Hypotheses{});
  Hypotheses& hypotheses = premises_[found->second].second;
  const bool entailed = pair.label == NliPair::Label::kEntailment;
  (entailed ? hypotheses.entailed : hypotheses.contradicting).push_back(std::move(pair.hypothesis));
}

std::vector<Triplet> NliTriplets::triplets(bool one_per_premise) const {
  std::vector<Triplet> triplets;
  for (const auto& [premise, hypotheses] : premises_) {
    const auto& [entailed, contradicting] = hypotheses;
    if (contradicting.empty()) continue;
    for (size_t i = 0; i < entailed.size() && (i == 0 || !one_per_premise); ++i) {
      const std::string& negative = contradicting[i % contradicting.size()];
      triplets.push_back({{premise, {}}, {entailed[i], {}}, {{negative, {}}}});
    }
  }
  return triplets;
}

}  // namespace e5v::detail
