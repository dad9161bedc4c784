// Tunes a model on a table of sentences, and shows what that changed:
//   train_csv triplets.csv run/
//
// The table has a header sent0,sent1,hard_neg: a text, one that means the same, one that does not.

#include <e5v/e5v.h>

#include <iostream>
#include <numeric>

namespace {

double similarity(const e5v::EmbedderOptions& options, const char* a, const char* b) {
  const e5v::Embeddings vectors = e5v::Embedder(options).embed({{.text = a}, {.text = b}});
  return std::inner_product(vectors[0].begin(), vectors[0].end(), vectors[1].begin(), 0.0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: train_csv TRIPLETS.csv OUTPUT\n";
    return 2;
  }
  try {
    e5v::TrainOptions options;
    options.data = argv[1];
    options.output = argv[2];
    options.recipe = "tiny";
    options.options = R"({"batch_size": 4, "epochs": 20})";
    options.on_step = [](const e5v::TrainStep& step) {
      std::cerr << "step " << step.step << " of " << step.num_steps << "  loss " << step.loss
                << "\n";
    };
    const e5v::TrainResult result = e5v::train(options);

    const char* a = "a red square above a blue disc";
    const char* b = "a blue disc below a red square";
    std::cout << "before " << similarity({}, a, b) << ", after "
              << similarity({.adapter = result.adapter}, a, b) << "\n";
  } catch (const e5v::Error& error) {
    std::cerr << "train_csv: " << error.what() << "\n";
    return 1;
  }
}
