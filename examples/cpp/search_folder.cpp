// Makes a folder of pictures searchable, and searches it:
//   search_folder pictures/ "a red square" [picture to change]
//
// The collection lies beside the folder; a second run embeds only what is new.

#include <e5v/e5v.h>

#include <filesystem>
#include <iostream>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: search_folder FOLDER TEXT [PICTURE]\n";
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[1];
    const e5v::Embedder embedder;
    e5v::Collection pictures(folder.lexically_normal().native() + ".e5v", embedder);

    e5v::UpdateOptions options;
    options.on_progress = [](uint64_t done, uint64_t total) {
      if (done % 100 == 0) std::cerr << done << " of " << total << " pictures\n";
    };
    const e5v::UpdateReport report = pictures.update(embedder, {&folder, 1}, options);
    std::cerr << report.embedded << " new, " << pictures.size() << " in all\n";

    e5v::Query query{.text = argv[2]};
    if (argc > 3) query.image = std::filesystem::path(argv[3]);
    for (const e5v::SearchHit& hit : pictures.search(embedder, query, {.k = 5})) {
      std::cout << hit.score << "  " << hit.item.path << "\n";
    }
  } catch (const e5v::Error& error) {
    std::cerr << "search_folder: " << error.what() << "\n";
    return 1;
  }
}
