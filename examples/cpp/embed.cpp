// Which picture is nearest to a text?   embed "a red square" a.png b.png
//
// E5V_MODEL names a model folder; without it, it is the miniature that comes with the library,
// which knows coloured shapes only.

#include <e5v/e5v.h>

#include <iostream>
#include <numeric>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: embed TEXT PICTURE...\n";
    return 2;
  }
  try {
    const e5v::Embedder embedder;
    std::vector<e5v::Item> items = {{.text = argv[1]}};
    for (int i = 2; i < argc; ++i) items.push_back({.images = {std::filesystem::path(argv[i])}});

    const e5v::Embeddings vectors = embedder.embed(items);
    for (int64_t i = 1; i < vectors.num_items; ++i) {
      const auto text = vectors[0], picture = vectors[i];
      const double cosine = std::inner_product(text.begin(), text.end(), picture.begin(), 0.0);
      std::cout << cosine << "  " << argv[i + 1] << "\n";
    }
  } catch (const e5v::Error& error) {  // one line: what, where, what was expected
    std::cerr << "embed: " << error.what() << "\n";
    return 1;
  }
}
