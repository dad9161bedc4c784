#include <pthread.h>
#include <signal.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <thread>

#include "e5v/cli/commands.h"
#include "e5v/cli/embedder_flags.h"
#include "e5v/search/collection_embedder.h"
#include "e5v/server/service.h"

namespace e5v::detail {
namespace {

struct ServeCommand {
  EmbedderFlags embedder;
  ServeOptions options;
  std::filesystem::path collection;

  void run(const CommandContext& context) const;

 private:
  void load(Service& service, const EmbedderFlags& flags, std::unique_ptr<Collection> open,
            const CommandContext& context) const;
};

/// Stops the server at SIGTERM or SIGINT, which every thread that begins after this has blocked. To
/// be made before any other thread.
class SignalStop {
 public:
  SignalStop() {
    ::sigemptyset(&signals_);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&signals_, signal);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  void watch(HttpServer& server) {
    thread_ = std::thread([this, &server] {
      int signal = 0;
      ::sigwait(&signals_, &signal);
      server.stop();
    });
  }
  ~SignalStop() {
    if (!thread_.joinable()) return;
    ::pthread_kill(thread_.native_handle(), SIGUSR1);  // nobody stopped it
    thread_.join();
  }

 private:
  sigset_t signals_;
  std::thread thread_;
};

void ServeCommand::load(Service& service, const EmbedderFlags& flags,
                        std::unique_ptr<Collection> open, const CommandContext& context) const {
  auto loaded = std::make_unique<Embedder>(flags.load(context));
  service.start(std::move(loaded), std::move(open));
}

void ServeCommand::run(const CommandContext& context) const {
  options.validate();
  EmbedderFlags flags = embedder;
  std::unique_ptr<Collection> open;
  if (!collection.empty()) {
    open = std::make_unique<Collection>(collection);
    flags.options = with_collection(flags.options, open->settings());
    require_same_vectors(flags.options, open->settings(), collection.native());
  }
  flags.choose_model();
  flags.options.validate();

  ::signal(SIGPIPE, SIG_IGN);  // a client that goes away is no reason to end
  SignalStop signals;
  Service service(options, context.log());
  HttpServer server(
      options.http(), [&](const HttpCall& call) { return service.gate(call); },
      [&](const HttpCall& call) { return service.handle(call); }, &Service::refusal);
  const int port = server.bind();
  context.log().info("http://{}:{}/ answers as soon as the model is loaded", options.host, port);
  if (context.json) {
    context.print_json({{"host", options.host}, {"port", port}});
    std::fflush(stdout);  // whoever started this waits for it
  }
  if (options.host != "127.0.0.1" && options.host != "localhost" && options.api_key.empty()) {
    context.log().warn("everyone who reaches {} may use this server; see --api-key", options.host);
  }

  std::exception_ptr failure;
  std::thread loader([&] {
    try {
      load(service, flags, std::move(open), context);
      context.log().info("ready");
    } catch (...) {
      failure = std::current_exception();
      server.stop();
    }
  });
  signals.watch(server);
  server.run();
  loader.join();
  if (failure) std::rethrow_exception(failure);
  context.log().info("stopped; what was accepted is answered");
}

}  // namespace

void register_serve(CLI::App& app, CommandContext& context) {
  Command command = add_command(
      app, context, "serve", "Serve embeddings and search over HTTP, and a page to search with",
      "e5v serve --model DIR\n"
      "e5v serve --collection pictures             (and open http://127.0.0.1:8080/)\n"
      "e5v serve --model DIR --host 0.0.0.0 --api-key \"$KEY\" --allow-remote-images "
      "'*.example.org'\n"
      "curl -s http://127.0.0.1:8080/v1/embeddings -d '{\"input\": \"a dog on grass\"}'\n"
      "\n"
      "The request shapes of OpenAI, Jina, vLLM, Cohere, Voyage and Infinity: docs/server.md.\n"
      "SIGTERM ends it when what was accepted is answered.");
  auto serve = std::make_shared<ServeCommand>();
  command.add("collection", serve->collection, "Folder of a collection to search in");
  serve->options.register_options(command);
  serve->embedder.register_options(command);
  command.set_callback([serve, &context] { serve->run(context); });
}

}  // namespace e5v::detail
