#include "pipeline/stages/check_plain_numbers.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "pipeline/comm/assign_work.hpp"

namespace shardquant::stages {

namespace {

std::vector<std::string> names_of_plain(const waves::RunContext& context) {
  const model::SourceModel& model = context.model;
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < std::ssize(model.layout.plain_tensors); ++i) {
    names.push_back(model.tensors.plain_name(i));
  }
  for (const model::LinearLayer& layer : model.layout.linear_layers) {
    if (layer.has_bias) names.push_back(layer.key + ".bias");
  }
  if (!weights::head_option(context.format, context.config.allocate.head_bits)) {
    names.push_back(model.tensors.weight_name(model.layout.head_layer));
  }
  return names;
}

void check(const formats::SafetensorsFolder& folder, const std::string& name,
           formats::Dtype stored_as) {
  constexpr std::int64_t kPiece = std::int64_t{4} << 20;
  const formats::TensorInfo& tensor = folder.at(name);
  const std::int64_t elements = tensor.bytes() / formats::dtype_bytes(tensor.dtype);
  std::vector<std::byte> piece;
  for (std::int64_t first = 0; first < elements; first += kPiece) {
    const std::int64_t count = std::min(kPiece, elements - first);
    piece.resize(static_cast<std::size_t>(count * formats::dtype_bytes(stored_as)));
    model::read_as(folder, name, stored_as, first, piece);
  }
}

}  // namespace

void check_plain_numbers(const waves::RunContext& context) {
  comm::on_all(context.comm, [&] {
    const std::vector<std::string> names = names_of_plain(context);
    const formats::Dtype dtype = context.format.plain_dtype(context.model.description.dtype());
    std::vector<double> bytes;
    for (const std::string& name : names) {
      bytes.push_back(static_cast<double>(context.model.folder.at(name).bytes()));
    }
    std::vector<double> load(static_cast<std::size_t>(context.comm.size()));
    const std::vector<int> owners = comm::assign_work(bytes, load);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (owners[i] == context.comm.rank()) check(context.model.folder, names[i], dtype);
    }
  });
}

}  // namespace shardquant::stages
