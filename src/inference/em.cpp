#include "elbo/inference/em.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "elbo/program/enumeration.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

/// [..., E_2, E_1, particles, plates...] to [E_1 E_2 ..., rows]: the dimensions of enumerated sites
/// in the order they ran, together.
at::Tensor by_law(const at::Tensor& weights, int64_t plate_dims) {
  const int64_t enumerated = weights.dim() - 1 - plate_dims;
  std::vector<int64_t> order;
  for (int64_t i = enumerated - 1; i >= 0; --i) order.push_back(i);
  for (int64_t i = enumerated; i < weights.dim(); ++i) order.push_back(i);
  int64_t laws = 1;
  for (int64_t i = 0; i < enumerated; ++i) laws *= weights.size(i);
  return weights.permute(order).reshape({laws, -1});
}

double sum_of_rows(const at::Tensor& log_marginal, const Batch& batch) {
  const double sum = log_marginal.sum().item<double>();
  if (std::isfinite(sum)) return sum;
  const auto row = log_marginal.flatten().isfinite().logical_not().nonzero()[0].item<int64_t>();
  throw NumericError(fmt::format(
      "Em: log p(x) of row {} is {}; expected a finite number (a row outside the components' "
      "support has none)",
      batch.rows[row].item<int64_t>(), log_marginal.flatten()[row].item<double>()));
}

}  // namespace

RowStream stream_of(at::Tensor x) {
  const int64_t total = x.size(0);
  return {total, [x = std::move(x), total](int64_t first, int64_t count) {
            return Batch{.columns = {{"x", x.narrow(0, first, count)}},
                         .rows = at::arange(first, first + count, at::kLong),
                         .total = total};
          }};
}

void EmOptions::validate() const {
  if (chunk_rows < 1) throw ConfigError(fmt::format("chunk_rows = {}; expected >= 1", chunk_rows));
  if (!(step_exponent > 0.5 && step_exponent <= 1))
    throw ConfigError(
        fmt::format("step_exponent = {}; expected a number in (1/2, 1]", step_exponent));
}

/// Statistics of each M step, over the rows seen.
struct Em::Sums {
  std::vector<at::Tensor> statistics{};
  double log_likelihood = 0;
  int64_t rows = 0;
};

Em::Em(Program model, std::vector<MStep> m_steps, EmOptions options)
    : model_(enumerate(std::move(model))),
      m_steps_(std::move(m_steps)),
      options_(std::move(options)),
      count_(at::zeros({}, at::kLong)) {
  options_.validate();
  constexpr int64_t kLargestTable = 1 << 21;  // elements
  for (const MStep& m : m_steps_)
    if (!m.parameters.empty())
      options_.chunk_rows =
          std::min(options_.chunk_rows,
                   std::max<int64_t>(
                       64, kLargestTable / std::max<int64_t>(1, m.parameters.front().numel())));
  for (const MStep& m : m_steps_)
    if (m.parameters.size() != m.family->parameter_names().size())
      throw ConfigError(fmt::format("Em: site '{}' ({}) is given {} parameters; expected {}",
                                    m.site, m.family->name(), m.parameters.size(),
                                    m.family->parameter_names().size()));
}

Trace Em::run(const Batch& batch) const {
  auto trace = Trace::run(model_, batch, Noise(0), {.requires_grad = false});
  for (const Site& site : trace.sites())
    if (!site.observed && !site.enumerated)
      throw SiteError(fmt::format("Em: latent site '{}' ({}) is drawn; expected discrete ones",
                                  site.name, site.distribution->name()));
  return trace;
}

void Em::expect(const Batch& batch, const at::Tensor& given, Sums& sums) const {
  const auto trace = run(batch);
  const int64_t plate_dims = trace.options().plate_dims;
  Posterior found;
  if (!given.defined()) {
    found = posterior(trace);
    sums.log_likelihood += sum_of_rows(found.log_marginal, batch);
  }
  sums.rows += batch.size();
  for (size_t i = 0; i < m_steps_.size(); ++i) {
    const MStep& m = m_steps_[i];
    const int64_t index = trace.index_of(m.site);
    if (index < 0) throw SiteError("Em: no site '" + m.site + "' in the model");
    const Site& site = trace.sites()[static_cast<size_t>(index)];
    const bool depends =
        site.enumerated ||
        static_cast<int64_t>(site.distribution->batch_shape().size()) > 1 + plate_dims;
    at::Tensor weights;  // [laws, rows]
    if (given.defined())
      weights = depends ? given : at::ones({1, batch.size()}, given.options());
    else if (depends)
      weights = by_law(found.weights[static_cast<size_t>(index)], plate_dims);
    else
      weights = at::ones({1, batch.size()}, found.log_marginal.options());
    auto x = site.value;
    if (site.enumerated) {  // its values are the rows, and expected counts their weights
      x = site.value.flatten();
      weights = given.defined() ? weights.sum(1, /*keepdim=*/true).t()
                                : weights.sum(1).view({-1, x.size(0)});
    } else {
      const auto& event = site.distribution->event_shape();
      std::vector<int64_t> rows = {batch.size()};
      rows.insert(rows.end(), event.begin(), event.end());
      x = x.reshape(rows);
    }
    sums.statistics.push_back(m.family->statistics(x, weights));
  }
}

void Em::maximise(const std::vector<at::Tensor>& statistics) {
  const at::NoGradGuard no_grad;
  // All before any is written: an error leaves the model as it was.
  std::vector<std::vector<at::Tensor>> found;
  for (size_t i = 0; i < m_steps_.size(); ++i)
    found.push_back(m_steps_[i].family->fit(statistics[i], m_steps_[i].parameters));
  for (size_t i = 0; i < m_steps_.size(); ++i)
    for (size_t j = 0; j < found[i].size(); ++j) {
      auto parameter = m_steps_[i].parameters[j];
      parameter.copy_(found[i][j].view(parameter.sizes()));
    }
}

Em::Sums Em::over_chunks(const RowStream& rows,
                         const std::function<void(const Batch&, Sums&)>& work) const {
  if (rows.total < 1) throw DataError("Em: no rows; expected one or more");
  Sums all;
  const int64_t size = options_.chunk_rows, together = 4 * at::get_num_threads();
  for (int64_t first = 0; first < rows.total;) {
    std::vector<Batch> chunks;
    for (; first < rows.total && static_cast<int64_t>(chunks.size()) < together; first += size)
      chunks.push_back(rows.range(first, std::min(size, rows.total - first)));
    std::vector<Sums> found(chunks.size());
    const bool differentiable = at::GradMode::is_enabled();  // which is each thread's own
    at::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t begin, int64_t end) {
      const at::AutoGradMode mode(differentiable);
      for (int64_t i = begin; i < end; ++i)
        work(chunks[static_cast<size_t>(i)], found[static_cast<size_t>(i)]);
    });
    for (Sums& sums : found) {
      all.log_likelihood += sums.log_likelihood;
      all.rows += sums.rows;
      for (size_t i = 0; i < sums.statistics.size(); ++i) {
        if (all.statistics.size() == i)
          all.statistics.push_back(sums.statistics[i]);
        else
          all.statistics[i] = m_steps_[i].family->merge(all.statistics[i], sums.statistics[i]);
      }
    }
  }
  return all;
}

double Em::iterate(const RowStream& rows) {
  double log_likelihood = 0;
  {
    const at::NoGradGuard no_grad;
    const auto sums = over_chunks(rows, [&](const Batch& b, Sums& s) { expect(b, {}, s); });
    log_likelihood =
        sums.log_likelihood / static_cast<double>(rows.total) + beside_rows(rows.total);
    maximise(sums.statistics);
  }
  if (!options_.by_gradient.empty()) climb(rows);
  return log_likelihood;
}

void Em::start(const RowStream& rows,
               const std::function<at::Tensor(const Batch& chunk)>& weights) {
  const at::NoGradGuard no_grad;
  maximise(
      over_chunks(rows, [&](const Batch& b, Sums& s) { expect(b, weights(b), s); }).statistics);
}

double Em::log_likelihood(const RowStream& rows) const {
  const at::NoGradGuard no_grad;
  const auto sums = over_chunks(rows, [&](const Batch& b, Sums& s) {
    s.log_likelihood = sum_of_rows(log_marginal(run(b)), b);
  });
  return sums.log_likelihood / static_cast<double>(rows.total) + beside_rows(rows.total);
}

double Em::beside_rows(int64_t total) const {
  return options_.beside_rows ? options_.beside_rows(total) : 0;
}

void Em::climb(const RowStream& rows) {
  // The gradient of the likelihood is that of the M step's objective at this point (Fisher), and a
  // step is taken only where the likelihood itself does not fall.
  double before = 0;
  {
    const at::AutoGradMode with_gradient(true);
    for (auto& [name, p] : options_.by_gradient) p.mutable_grad() = at::Tensor();
    for (int64_t first = 0; first < rows.total; first += options_.chunk_rows) {
      const auto chunk = rows.range(first, std::min(options_.chunk_rows, rows.total - first));
      const auto sum = log_marginal(run(chunk));
      before += sum_of_rows(sum, chunk);
      (sum.sum() / static_cast<double>(rows.total)).backward();
    }
    before /= static_cast<double>(rows.total);
  }
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> old;
  for (auto& [name, p] : options_.by_gradient) old.push_back(p.detach().clone());
  constexpr int kMostHalvings = 40;
  for (int i = 0; i < kMostHalvings; ++i, rate_ /= 2) {
    for (size_t j = 0; j < old.size(); ++j) {
      auto p = options_.by_gradient[j].second;
      if (p.grad().defined()) p.copy_(old[j] + rate_ * p.grad());
    }
    double after = -INFINITY;
    try {
      after = log_likelihood(rows);
    } catch (const NumericError&) {  // too far: a shorter step
    } catch (const DomainError&) {
    }
    if (after >= before) {
      rate_ *= 2;
      return;
    }
  }
  rate_ = 1;
  for (size_t j = 0; j < old.size(); ++j) {
    auto p = options_.by_gradient[j].second;
    p.copy_(old[j]);
  }
}

Em::Responsibilities Em::responsibilities(const Batch& batch) const {
  const at::NoGradGuard no_grad;
  const auto trace = run(batch);
  auto found = posterior(trace);
  int64_t latent = 0;
  for (const Site& site : trace.sites()) latent += site.enumerated ? 1 : 0;
  for (const auto& weights : found.weights)
    if (latent == 1 && weights.defined() && weights.size(-1) == batch.size())
      return {weights.reshape({weights.size(0), -1}), found.log_marginal[0]};
  throw SiteError("Em: responsibilities are of one latent site on which an observed one depends");
}

StepResult Em::step(const Batch& batch, const Noise&) {
  const at::NoGradGuard no_grad;
  Sums sums;
  expect(batch, {}, sums);
  const auto count = count_.item<int64_t>();
  const double rate = std::pow(static_cast<double>(count) + 2, -options_.step_exponent);
  std::vector<at::Tensor> moved;
  for (size_t i = 0; i < m_steps_.size(); ++i) {
    const auto& family = *m_steps_[i].family;
    const auto fresh = family.scale(sums.statistics[i], 1 / static_cast<double>(sums.rows));
    moved.push_back(moving_.empty() ? fresh
                                    : family.merge(family.scale(moving_[i], 1 - rate),
                                                   family.scale(fresh, rate)));
  }
  StepResult result;
  result.elbo = result.reconstruction =
      sums.log_likelihood / static_cast<double>(sums.rows) + beside_rows(batch.total);
  std::vector<at::Tensor> of_all;  // a prior counts beside N rows, not beside one
  for (size_t i = 0; i < m_steps_.size(); ++i)
    of_all.push_back(m_steps_[i].family->scale(moved[i], static_cast<double>(batch.total)));
  maximise(of_all);
  moving_ = std::move(moved);
  count_.add_(1);
  return result;
}

std::map<std::string, at::Tensor> Em::state() const {
  std::map<std::string, at::Tensor> out = {{"em.minibatches", count_}};
  for (size_t i = 0; i < moving_.size(); ++i) out["em.statistics." + m_steps_[i].site] = moving_[i];
  return out;
}

}  // namespace elbo
