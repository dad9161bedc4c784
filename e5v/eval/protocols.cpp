#include "e5v/eval/protocols.h"

namespace e5v::detail {

/// The table. Each X(name) is one file protocols/<name>.cpp that defines
/// `Protocol <name>_protocol()`.
#define E5V_PROTOCOLS(X) \
  X(flickr30k)           \
  X(coco)                \
  X(i2i_flickr30k)       \
  X(i2i_coco)            \
  X(retrieval)           \
  X(i2i)                 \
  X(cirr)                \
  X(fashioniq)           \
  X(circo)               \
  X(sts)

#define E5V_DECLARE_PROTOCOL(name) Protocol name##_protocol();
E5V_PROTOCOLS(E5V_DECLARE_PROTOCOL)
#undef E5V_DECLARE_PROTOCOL

const std::vector<Protocol>& protocols() {
#define E5V_LIST_PROTOCOL(name) name##_protocol(),
  static const std::vector<Protocol> table = {E5V_PROTOCOLS(E5V_LIST_PROTOCOL)};
#undef E5V_LIST_PROTOCOL
  return table;
}

const Protocol* find_protocol(std::string_view name) {
  for (const Protocol& protocol : protocols()) {
    if (protocol.name == name) return &protocol;
  }
  return nullptr;
}

std::vector<std::string> protocol_names() {
  std::vector<std::string> names;
  for (const Protocol& protocol : protocols()) names.emplace_back(protocol.name);
  return names;
}

const std::vector<PublishedFigures>& published_figures(std::string_view task) {
  static const std::vector<PublishedFigures> none;
  const Protocol* const protocol = find_protocol(task);
  return protocol == nullptr ? none : protocol->published;
}

std::string_view note_on_published(std::string_view task) {
  const Protocol* const protocol = find_protocol(task);
  return protocol == nullptr ? std::string_view() : protocol->note_on_published;
}

TaskReport run_protocol(const Protocol& protocol, const Evaluation& evaluation,
                        const MakeSystem& make_system) {
  TaskReport report = evaluation.run(make_system);
  report.task = protocol.name;
  return report;
}

}  // namespace e5v::detail
