#pragma once

#include <filesystem>

#include "pipeline/calibration/document_source.hpp"

namespace shardquant::calibration {

/// Makes text of chat messages as the chat template beside a tokenizer does (`tokenizer`: its file
/// or folder). The template is read when the first messages come, so that one that is not supported
/// keeps nobody from plain text.
/// The function throws Failure(bad_data) naming the messages where there is no template, where a
/// tokenizer.model would take special tokens for text, and as ChatTemplate
RenderMessages chat_renderer(const std::filesystem::path& tokenizer);

}  // namespace shardquant::calibration
