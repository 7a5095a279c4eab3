#include "elbo/evaluation/log_evidence.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "elbo/error.h"

namespace elbo {
namespace {

const auto kDouble = at::TensorOptions(at::kDouble);

double number(const at::Tensor& t) { return t.item<double>(); }

TEST(LogMeanWeight, IsTheMeanWithItsError) {
  // Weights 1, 2, 6 and the same times e^-1000.
  const auto w = at::tensor({1.0, 2.0, 6.0}, at::kDouble).log().unsqueeze(1);
  const auto found = log_mean_weight(at::cat({w, w - 1000}, 1));
  EXPECT_NEAR(number(found.rows[0]), std::log(3), 1e-14);
  EXPECT_NEAR(number(found.rows[1]), std::log(3) - 1000, 1e-12);
  EXPECT_NEAR(number(found.standard_error[0]), std::sqrt(7.0) / std::sqrt(3.0) / 3, 1e-14);
  EXPECT_NEAR(number(found.standard_error[1]), number(found.standard_error[0]), 1e-12);
  EXPECT_TRUE(found.k_hat.isnan().all().item<bool>()) << "3 weights have no tail";
  EXPECT_THROW((void)log_mean_weight(w.narrow(0, 0, 1)), ConfigError);
}

struct Source {
  data::Part part{at::arange(5, kDouble).view({5, 1}), {}, {}};
  data::BatchSource batches{part, 1, data::Binarize::kNone, at::kDouble};
};

/// Each row's x as its evidence, x / 10 as its error and its k-hat.
LogEvidence of_x(const Batch& batch, const Noise&) {
  const auto x = batch["x"].squeeze(1);
  return {x, x / 10, x / 10};
}

TEST(EvaluateEvidence, SumsUpTheRows) {
  const Source source;
  std::vector<int64_t> done;
  const auto all = evaluate_evidence(
      source.batches, of_x, {.batch_size = 2, .on_batch = [&](int64_t rows, int64_t total) {
                               done.push_back(rows);
                               EXPECT_EQ(total, 5);
                             }});
  EXPECT_EQ(done, (std::vector<int64_t>{2, 4, 5}));
  EXPECT_EQ(all.rows, 5);
  EXPECT_NEAR(all.mean, 2, 1e-15);
  EXPECT_NEAR(all.standard_error, std::sqrt(2.5 / 5), 1e-15);
  EXPECT_NEAR(all.draws_error, std::sqrt(0.3) / 5, 1e-15);
  EXPECT_NEAR(all.largest_k_hat, 0.4, 1e-15);
  EXPECT_EQ(all.heavy_rows, 0);
}

TEST(EvaluateEvidence, CountsHeavyRows) {
  const auto heavy = [](const Batch& batch, const Noise&) {
    const auto x = batch["x"].squeeze(1);
    auto k_hat = x / 5;
    k_hat[0] = std::nan("");
    return LogEvidence{x, x, k_hat};
  };
  const auto all = evaluate_evidence(Source().batches, heavy);
  EXPECT_EQ(all.heavy_rows, 2) << "0.6 and 0.8";
  EXPECT_NEAR(all.largest_k_hat, 0.8, 1e-15);
}

TEST(EvaluateEvidence, NamesTheRowThatIsNotFinite) {
  const auto bad = [](const Batch& batch, const Noise&) {
    auto found = of_x(batch, Noise(0));
    return LogEvidence{(found.rows - 3).log(), found.standard_error, found.k_hat};
  };
  try {
    (void)evaluate_evidence(Source().batches, bad, {.batch_size = 2});
    ADD_FAILURE() << "no error";
  } catch (const NumericError& error) {
    EXPECT_STREQ(error.what(), "log p(x) of row 0 became nan");
  }
}

}  // namespace
}  // namespace elbo
