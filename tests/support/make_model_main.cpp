#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <map>

#include "tests/support/make_model.hpp"

// Makes a random Hugging Face folder of any shape, or a random token stream, for tests and sizing.
int main(int argc, char** argv) {
  using shardquant::tests::HeadStorage;
  shardquant::tests::MakeModelOptions options;
  std::string folder;
  std::string tokens_file;
  std::int64_t token_count = 0;
  const std::map<std::string, HeadStorage> head_names = {{"separate", HeadStorage::separate},
                                                         {"tied", HeadStorage::tied},
                                                         {"head-only", HeadStorage::head_only}};
  CLI::App app("Makes a random model folder and, if asked, a random token stream.");
  app.add_option("folder", folder, "model folder to create (\"-\": none)")->required();
  app.add_option("--family", options.family, "llama, mistral, qwen2, qwen3");
  app.add_option("--layers", options.layers);
  app.add_option("--hidden", options.hidden);
  app.add_option("--heads", options.heads);
  app.add_option("--kv-heads", options.kv_heads);
  app.add_option("--head-dim", options.head_dim, "0: hidden / heads");
  app.add_option("--ffn", options.ffn);
  app.add_option("--vocab", options.vocab);
  app.add_option("--sliding-window", options.sliding_window, "0: none");
  app.add_option("--rope-scaling", options.rope_scaling, "none, linear, llama3");
  app.add_option("--dtype", options.dtype, "F32, F16, BF16");
  app.add_option("--shards", options.shards);
  app.add_option("--head", options.head, "separate, tied, head-only")
      ->transform(CLI::CheckedTransformer(head_names));
  app.add_flag("--biases", options.biases, "attention_bias and mlp_bias (llama, qwen3)");
  app.add_option("--seed", options.seed);
  app.add_option("--tokens-file", tokens_file, "also write a token stream");
  app.add_option("--tokens", token_count, "tokens in it");
  CLI11_PARSE(app, argc, argv);
  try {
    if (folder != "-") shardquant::tests::make_model(folder, options);
    if (!tokens_file.empty()) {
      shardquant::tests::make_tokens(tokens_file, token_count, options.vocab, options.seed);
    }
  } catch (const std::exception& error) {
    std::cerr << "make_model: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
