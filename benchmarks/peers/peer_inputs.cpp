// Writes what a peer program needs to train as a run of `elbo train` did: the same start, rows,
// order and noise, as NPY, with the run's settings in peer.json.
#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "elbo/data/data_set.h"
#include "elbo/data/minibatch.h"
#include "elbo/data/npy.h"
#include "elbo/data/tensor.h"
#include "elbo/error.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/io/atomic_file.h"
#include "elbo/models/model.h"
#include "support/arguments.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

void write_npy(const fs::path& path, const at::Tensor& tensor) {
  elbo::io::write_file(path, elbo::data::encode_npy(elbo::data::to_array(tensor)));
}

/// The settings of model.json, which are stored as the words of their flags.
struct Settings {
  json values;
  std::string word(const char* name) const { return values.at(name).get<std::string>(); }
  int64_t integer(const char* name) const { return std::stoll(word(name)); }
  double real(const char* name) const { return std::stod(word(name)); }
};

/// What the peer does one for one; anything else would compare two different runs.
void check_supported(const Settings& s, const elbo::data::DataSet& set) {
  const auto expect = [&](const char* name, const std::string& value) {
    if (s.word(name) != value)
      throw elbo::ConfigError("peer inputs: --" + std::string(name) + " " + s.word(name) +
                              "; expected " + value);
  };
  expect("binarize", "none");
  expect("objective", "sgvb-b");
  expect("update", "joint");
  expect("mc-samples", "1");
  if (set.train.mask.defined() || set.test.mask.defined())
    throw elbo::ConfigError("peer inputs: the data has missing values; expected none");
}

/// Rows in visiting order and the noise of site "z" for each, step by step as the trainer goes.
struct Visits {
  at::Tensor order;  // int64 [V]
  at::Tensor noise;  // [V, latent]
  int64_t steps = 0;
  int64_t epochs = 0;
};

Visits visits(const Settings& s, int64_t rows, int64_t latent, int64_t max_steps,
              const at::TensorOptions& options) {
  const auto seed = static_cast<uint64_t>(s.integer("seed"));
  const int64_t batch = s.integer("batch"), samples = s.integer("samples");
  Visits out;
  out.epochs = samples > 0 ? (samples + rows - 1) / rows : s.integer("epochs");
  std::vector<at::Tensor> order, noise;
  int64_t seen = 0;
  const auto enough = [&] {
    return (samples > 0 && seen >= samples) || (max_steps > 0 && out.steps >= max_steps);
  };
  for (int64_t epoch = 0; epoch < out.epochs && !enough(); ++epoch) {
    const auto all = at::tensor(elbo::data::epoch_order(seed, epoch, rows), at::kLong);
    for (int64_t first = 0; first < rows && !enough(); first += batch) {
      const int64_t count = std::min(batch, rows - first);
      const auto chosen = all.narrow(0, first, count);
      const elbo::Noise step(seed, static_cast<uint64_t>(out.steps));
      order.push_back(chosen);
      noise.push_back(step.site("z").particles(1).rows(chosen).normal({count, latent}, options));
      seen += count;
      ++out.steps;
    }
  }
  out.order = at::cat(order);
  out.noise = at::cat(noise);
  return out;
}

void write_inputs(const fs::path& model_json, int64_t max_steps, const fs::path& out) {
  const auto bytes = elbo::io::read_file(model_json);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  const auto run = json::parse(text, text + bytes.size());
  const Settings s{run.at("settings")};
  const auto set = elbo::data::load(
      run.at("data").at("name").get<std::string>(),
      {.test_file = s.word("test"), .seed = static_cast<uint64_t>(s.integer("data-seed"))});
  check_supported(s, set);

  const auto seed = static_cast<uint64_t>(s.integer("seed"));
  const auto options =
      at::TensorOptions().dtype(s.word("precision") == "float64" ? at::kDouble : at::kFloat);
  const auto model = elbo::make_model(run.at("model"), options);
  elbo::initialise_model(*model, elbo::nn::parse_init(s.word("init")), seed);
  fs::create_directories(out / "start");
  for (const auto& [name, parameter] : elbo::named_parameters(*model))
    write_npy(out / "start" / (name + ".npy"), parameter);

  write_npy(out / "train.npy", set.train.x.flatten(1));
  write_npy(out / "test.npy", set.test.x.flatten(1));
  const auto seen = visits(s, set.train.rows(), model->latent_dim(), max_steps, options);
  write_npy(out / "order.npy", seen.order);
  write_npy(out / "noise.npy", seen.noise);
  const auto test_rows = at::arange(set.test.rows(), at::kLong);
  write_npy(out / "test_noise.npy",
            elbo::evaluation_noise(seed).site("z").particles(1).rows(test_rows).normal(
                {set.test.rows(), model->latent_dim()}, options));
  const json peer = {{"model", run.at("model")},
                     {"scale", set.scale},
                     {"precision", s.word("precision")},
                     {"batch", s.integer("batch")},
                     {"steps", seen.steps},
                     {"schedule_epochs", seen.epochs},
                     {"optimizer", s.word("optimizer")},
                     {"lr", s.real("lr")},
                     {"lr_schedule", s.word("lr-schedule")},
                     {"weight_prior", s.real("weight-prior")},
                     {"full_data_objective", s.word("objective-scale") == "full-data"}};
  elbo::io::write_file(out / "peer.json", peer.dump(2) + "\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("Writes start, order and noise of a run for a peer program.",
                   "elbo_peer_inputs");
  std::string model_json, out;
  int64_t max_steps = 0;
  program.add_option("--model-json", model_json, "model.json of the run")->required();
  program.add_option("--out", out, "the folder to fill")->required();
  program.add_option("--steps", max_steps, "only the first so many updates");
  program.footer("Example: elbo_peer_inputs --model-json runs/mnist/model.json --out peer");
  elbo::bench::parse(program, argc, argv);
  try {
    write_inputs(model_json, max_steps, out);
  } catch (const std::exception& e) {
    std::cerr << "elbo_peer_inputs: " << e.what() << '\n';
    return 1;
  }
  return 0;
}
