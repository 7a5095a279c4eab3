// One function a command: adds it to the program.
#pragma once

#include <CLI/App.hpp>

namespace elbo::cli {

void add_train(CLI::App& program);
void add_compare(CLI::App& program);
void add_evaluate(CLI::App& program);
void add_sample(CLI::App& program);
void add_manifold(CLI::App& program);
void add_reconstruct(CLI::App& program);
void add_encode(CLI::App& program);
void add_decode(CLI::App& program);
void add_reproduce(CLI::App& program);
void add_info(CLI::App& program);
void add_data(CLI::App& program);
void add_cluster(CLI::App& program);
void add_classify(CLI::App& program);
void add_styles(CLI::App& program);

}  // namespace elbo::cli
