#include "elbo/inference/linear_gaussian_em.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace elbo {
namespace {

/// A chunk's rows and which entries they have; the mask is undefined where all are there.
struct Rows {
  explicit Rows(const Batch& batch) : x(batch["x"].to(at::kDouble)) {
    auto there = x.isnan().logical_not();
    if (batch.mask.defined()) there = there.logical_and(batch.mask);
    if (!there.all().item<bool>()) mask = there;
  }
  at::Tensor x, mask;
};

template <class Body>
void each_chunk(const RowStream& rows, int64_t size, const Body& body) {
  if (rows.total < 1) throw DataError("LinearGaussianEm: no rows; expected one or more");
  for (int64_t first = 0; first < rows.total; first += size)
    body(Rows(rows.range(first, std::min(size, rows.total - first))));
}

/// Sums over the rows that have a column: what its regression on (z, 1) needs.
struct Sums {
  at::Tensor moments;   ///< [D, (d + 1)^2]: E[(z, 1) (z, 1)^T]
  at::Tensor products;  ///< [D, d + 1]: (x - loc) E[(z, 1)]
  at::Tensor squares;   ///< [D]: (x - loc)^2
  at::Tensor count;     ///< [D]

  void add(const at::Tensor& m, const at::Tensor& p, const at::Tensor& s, const at::Tensor& n) {
    moments = moments.defined() ? moments + m : m;
    products = products.defined() ? products + p : p;
    squares = squares.defined() ? squares + s : s;
    count = count.defined() ? count + n : n;
  }
};

void add_rows(const Rows& rows, const LinearGaussian& model, const LinearGaussianPosterior& q,
              Sums* sums) {
  const int64_t n = rows.x.size(0), columns = rows.x.size(1);
  auto centred = rows.x - model.loc;
  if (rows.mask.defined()) centred = centred.masked_fill(rows.mask.logical_not(), 0);
  const auto z = at::cat({q.mean, at::ones({n, 1}, q.mean.options())}, 1);  // [n, d + 1]
  const auto covariance = at::constant_pad_nd(q.scale_tril.matmul(q.scale_tril.transpose(-2, -1)),
                                              {0, 1, 0, 1});  // [n or 1, ..]
  const auto products = centred.t().matmul(z), squares = centred.square().sum(0);
  if (rows.mask.defined()) {
    const auto second = (z.unsqueeze(2) * z.unsqueeze(1) + covariance).flatten(1);
    const auto there = rows.mask.to(z.dtype()).t();
    sums->add(there.matmul(second), products, squares, there.sum(1));
  } else {
    const auto second = z.t().matmul(z) + static_cast<double>(n) * covariance[0];
    sums->add(second.flatten().expand({columns, second.numel()}), products, squares,
              at::full({columns}, static_cast<double>(n), z.options()));
  }
}

}  // namespace

void LinearGaussianEmOptions::validate() const {
  if (chunk_rows < 1) throw ConfigError(fmt::format("chunk_rows = {}; expected >= 1", chunk_rows));
  if (!(variance_floor > 0))
    throw ConfigError(fmt::format("variance_floor = {}; expected > 0", variance_floor));
}

LinearGaussianEm::LinearGaussianEm(LinearGaussianParameters parameters,
                                   LinearGaussianEmOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  options_.validate();
}

void LinearGaussianEm::start(const RowStream& rows, const Noise& noise) {
  const at::NoGradGuard no_grad;
  at::Tensor sum, squares, count;
  // About the first row that has a column, so that little is left to cancel.
  at::Tensor around;
  each_chunk(rows, options_.chunk_rows, [&](const Rows& r) {
    const auto there =
        r.mask.defined() ? r.mask : at::ones(r.x.sizes(), r.x.options().dtype(at::kBool));
    const auto filled = r.x.masked_fill(there.logical_not(), 0);
    if (!around.defined()) around = filled.sum(0) / there.sum(0).clamp_min(1);
    const auto centred = (r.x - around).masked_fill(there.logical_not(), 0);
    const auto add = [](at::Tensor& to, const at::Tensor& x) { to = to.defined() ? to + x : x; };
    add(sum, centred.sum(0));
    add(squares, centred.square().sum(0));
    add(count, there.sum(0).to(at::kDouble));
  });
  if (count.eq(0).any().item<bool>())
    throw DataError(fmt::format("LinearGaussianEm: column {} has no entries; expected one or more",
                                count.eq(0).nonzero()[0].item<int64_t>() + 1));
  const auto mean = sum / count;
  const auto variance = (squares / count - mean.square()).clamp_min(options_.variance_floor);
  parameters_.loc.copy_(around + mean);
  const auto scale = (variance / static_cast<double>(parameters_.weight.size(1))).sqrt();
  parameters_.weight.copy_(scale.unsqueeze(1) *
                           noise.site("start").normal(parameters_.weight.sizes(), at::kDouble));
  if (options_.fixed_variance) return;
  const bool one = parameters_.log_variance.numel() == 1;
  parameters_.log_variance.copy_((one ? variance.mean().view({1}) : variance).log());
}

double LinearGaussianEm::iterate(const RowStream& rows) {
  const at::NoGradGuard no_grad;
  const LinearGaussian model{parameters_.weight, parameters_.loc, parameters_.log_variance.exp()};
  const int64_t columns = model.weight.size(0), d = model.weight.size(1);
  Sums sums;
  double log_likelihood = 0;
  each_chunk(rows, options_.chunk_rows, [&](const Rows& r) {
    const auto q = linear_gaussian_posterior(model, r.x, r.mask);
    log_likelihood += q.log_likelihood.sum().item<double>();
    add_rows(r, model, q, &sums);
  });
  if (!std::isfinite(log_likelihood))
    throw NumericError("LinearGaussianEm: the log likelihood is not finite; expected finite rows");
  // A column that no row has keeps its weights.
  const auto seen = sums.count > 0;
  const auto moments = at::where(seen.view({-1, 1, 1}), sums.moments.view({columns, d + 1, d + 1}),
                                 at::eye(d + 1, sums.moments.options()));
  const auto root = at::linalg_cholesky(moments);
  const auto found = at::cholesky_solve(sums.products.unsqueeze(2), root).squeeze(2);  // [D, d + 1]
  const auto left = sums.squares - (found * sums.products).sum(1);
  parameters_.weight.copy_(at::where(seen.unsqueeze(1), found.narrow(1, 0, d), model.weight));
  parameters_.loc.copy_(model.loc + at::where(seen, found.select(1, d), at::zeros_like(model.loc)));
  if (!options_.fixed_variance) {
    const bool one = parameters_.log_variance.numel() == 1;
    const auto variance =
        one ? left.sum().view({1}) / sums.count.sum() : left / sums.count.clamp_min(1);
    parameters_.log_variance.copy_(variance.clamp_min(options_.variance_floor).log());
  }
  return log_likelihood / static_cast<double>(rows.total);
}

double LinearGaussianEm::log_likelihood(const RowStream& rows) const {
  const at::NoGradGuard no_grad;
  const LinearGaussian model{parameters_.weight, parameters_.loc, parameters_.log_variance.exp()};
  double sum = 0;
  each_chunk(rows, options_.chunk_rows, [&](const Rows& r) {
    sum += linear_gaussian_posterior(model, r.x, r.mask).log_likelihood.sum().item<double>();
  });
  return sum / static_cast<double>(rows.total);
}

double LinearGaussianEm::fit(const RowStream& rows, int64_t max_iterations, double tolerance) {
  double before = -INFINITY;
  for (int64_t i = 0; i < max_iterations; ++i) {
    const double now = iterate(rows);
    if (now - before <= tolerance) break;
    before = now;
  }
  return log_likelihood(rows);
}

}  // namespace elbo
