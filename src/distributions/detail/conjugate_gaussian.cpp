#include <ATen/ATen.h>

#include <cmath>

#include "distributions/detail/conjugate_parts.h"
#include "distributions/detail/mle.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/multivariate_student_t.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/student_t.h"

namespace elbo::detail {
namespace {

using Tensors = std::vector<at::Tensor>;

/// q(mu, P) = N(mu; loc, (beta P)^-1) Wishart(P; df, C^-1): Bishop 10.60-10.63. Parameters: loc
/// [K, d]; the root of C / df, which is (E P)^-1, scale_tril [K, d, d] or of columns scale [K, d];
/// mean_precision beta and df [K]. A column's precision is a Wishart law of one dimension.
class ConjugateGaussian final : public ConjugateFamily {
 public:
  ConjugateGaussian(const std::string& law, const WeightedMleOptions& options,
                    const ConjugatePrior& prior)
      : ConjugateFamily(law, options, prior),
        whole_(law == "MultivariateNormal"),
        d_(numel(options.event_shape)) {
    if (prior.df != 0 && !(prior.df > static_cast<double>(wishart_dim() - 1)))
      throw ConfigError("conjugate_family: " + law + ": df = " + std::to_string(prior.df) +
                        "; expected > " + std::to_string(wishart_dim() - 1));
  }

  [[nodiscard]] DistributionPtr law(const Tensors& p) const override {
    if (whole_) return std::make_shared<MultivariateNormal>(p[0], p[1], Validate::kNo);
    return over_event(std::make_shared<Normal>(p[0], p[1], Validate::kNo));
  }

  // E log |P| less that of its mean's, and what the mean's spread costs.
  [[nodiscard]] at::Tensor log_gap(const Tensors& p) const override {
    const auto df = p[3];
    const auto excess = digammas(df) - static_cast<double>(wishart_dim()) * (0.5 * df).log();
    return 0.5 *
           (static_cast<double>(d_ / wishart_dim()) * excess - static_cast<double>(d_) / p[2]);
  }

  [[nodiscard]] DistributionPtr predictive(const Tensors& p) const override {
    const auto beta = p[2], df = p[3], left = df - static_cast<double>(wishart_dim() - 1);
    auto wider = (df * (beta + 1) / (beta * left)).sqrt().unsqueeze(-1);
    if (whole_)
      return std::make_shared<MultivariateStudentT>(left, p[0], p[1] * wider.unsqueeze(-1),
                                                    Validate::kNo);
    if (options().shared_scale == SharedScale::kEvent && d_ > 1)  // columns share their variance
      return std::make_shared<MultivariateStudentT>(left, p[0], (p[1] * wider).diag_embed(),
                                                    Validate::kNo);
    auto each = left;
    if (!options().event_shape.empty())
      each = each.unsqueeze(-1);
    else
      wider = wider.squeeze(-1);
    return over_event(std::make_shared<StudentT>(each, p[0], p[1] * wider, Validate::kNo));
  }

  // Of the means given the precisions, then of the precisions.
  [[nodiscard]] at::Tensor kl(const Tensors& p) const override {
    const auto k = p[0].size(0);
    const auto loc = p[0].reshape({k, d_}), beta = p[2], df = p[3];
    const auto root = whole_ ? p[1] : p[1].reshape({k, d_});
    const double beta0 = prior().mean_precision, df0 = prior_df();
    const auto apart = (loc - prior_loc(loc)).unsqueeze(2);
    const auto standard = whole_ ? at::linalg_solve_triangular(root, apart, /*upper=*/false)
                                 : apart / root.unsqueeze(2);
    const auto of_means = static_cast<double>(d_) * ((beta / beta0).log() + beta0 / beta - 1) +
                          beta0 * standard.square().sum({1, 2});
    // C and the prior's C0, of which log |C| - log |C0| and the trace of C0 C^-1 are needed.
    const auto prior_c = prior_scatter(loc);
    at::Tensor log_ratio, trace;
    if (whole_) {
      const auto root0 = at::linalg_cholesky(prior_c);
      log_ratio =
          2 * (log_diagonal(root) - log_diagonal(root0)) + static_cast<double>(d_) * df.log();
      trace = at::linalg_solve_triangular(root, root0.expand_as(root), /*upper=*/false)
                  .square()
                  .sum({1, 2}) /
              df;
    } else {
      const auto ratio = df.unsqueeze(1) * root.square() / prior_c;
      // One precision, where the columns share it.
      const bool one = options().shared_scale == SharedScale::kEvent;
      log_ratio = one ? ratio.select(1, 0).log() : ratio.log().sum(1);
      trace = one ? ratio.select(1, 0).reciprocal() : ratio.reciprocal().sum(1);
    }
    const auto laws = static_cast<double>(precisions());
    const auto prior_dfs = at::full_like(df, df0);
    auto of_precisions =
        df0 * log_ratio +
        laws * (2 * (log_gammas(prior_dfs) - log_gammas(df)) + (df - df0) * digammas(df)) +
        df * (trace - laws * static_cast<double>(wishart_dim()));
    if (options().shared_scale == SharedScale::kComponents)
      of_precisions = of_precisions.narrow(0, 0, 1);
    return 0.5 * (of_means.sum() + of_precisions.sum());
  }

  [[nodiscard]] std::vector<std::string> parameter_names() const override {
    return {"loc", whole_ ? "scale_tril" : "scale", "mean_precision", "df"};
  }

 private:
  [[nodiscard]] Tensors maximum(const at::Tensor& s) const override {
    const auto k = s.size(0);
    const auto weight = columns(s, 0, 1), mean = columns(s, 1, d_);
    auto squares = columns(s, 1 + d_, s.size(1) - 1 - d_);
    const auto loc0 = prior_loc(mean);
    const double beta0 = prior().mean_precision;
    const auto beta = beta0 + weight, apart = mean - loc0, pull = beta0 * weight / beta;
    squares = squares + (whole_ ? ((apart * pull).unsqueeze(2) * apart.unsqueeze(1)).flatten(1)
                                : apart.square() * pull);
    auto rows = weight;
    if (options().shared_scale == SharedScale::kComponents) {
      squares = squares.sum(0, true).expand_as(squares);
      rows = weight.sum(0, true).expand_as(weight);
    }
    if (options().shared_scale == SharedScale::kEvent) {
      squares = squares.sum(1, true).expand_as(squares);
      rows = rows * static_cast<double>(d_);
    }
    const auto df = prior_df() + rows;
    const auto shape = batch_and(k, options().event_shape);
    const auto loc = (loc0 + weight / beta * apart).reshape(shape);
    if (!whole_) {
      const auto variance = (prior_scatter(mean) + squares) / df;
      return {loc, variance.sqrt().reshape(shape), beta.squeeze(1), df.squeeze(1)};
    }
    const auto covariance = (prior_scatter(mean) + squares.reshape({k, d_, d_})) / df.unsqueeze(2);
    return {loc, at::linalg_cholesky(0.5 * (covariance + covariance.transpose(1, 2))),
            beta.squeeze(1), df.squeeze(1).contiguous()};
  }

  [[nodiscard]] DistributionPtr over_event(DistributionPtr base) const {
    const auto dims = static_cast<int64_t>(options().event_shape.size());
    return dims == 0 ? base : std::make_shared<Independent>(base, dims);
  }
  /// Of each Wishart law, and how many a component has.
  [[nodiscard]] int64_t wishart_dim() const { return whole_ ? d_ : 1; }
  [[nodiscard]] int64_t precisions() const {
    return whole_ || options().shared_scale == SharedScale::kEvent ? 1 : d_;
  }
  [[nodiscard]] double prior_df() const {
    return prior().df > 0 ? prior().df : static_cast<double>(wishart_dim());
  }
  [[nodiscard]] at::Tensor prior_loc(const at::Tensor& like) const {
    return prior().loc.defined() ? prior().loc.to(like.dtype()).reshape({1, d_})
                                 : at::zeros({1, d_}, like.options());
  }
  /// C0: [d, d], or of columns [1, d].
  [[nodiscard]] at::Tensor prior_scatter(const at::Tensor& like) const {
    const auto& given = prior().covariance;
    if (whole_) return given.defined() ? given : at::eye(d_, like.options());
    const auto variances =
        given.defined() ? given.reshape({1, d_}) : at::ones({1, d_}, like.options());
    return options().shared_scale == SharedScale::kEvent ? variances.mean(1, true).expand({1, d_})
                                                         : variances;
  }
  /// sum_i digamma((df - i) / 2) and of log gamma, i = 0 .. d - 1.
  [[nodiscard]] at::Tensor digammas(const at::Tensor& df) const {
    return at::digamma(halves(df)).sum(-1);
  }
  [[nodiscard]] at::Tensor log_gammas(const at::Tensor& df) const {
    return at::lgamma(halves(df)).sum(-1);
  }
  [[nodiscard]] at::Tensor halves(const at::Tensor& df) const {
    return 0.5 * (df.unsqueeze(-1) - at::arange(wishart_dim(), df.options()));
  }
  [[nodiscard]] static at::Tensor log_diagonal(const at::Tensor& root) {
    return root.diagonal(0, -2, -1).log().sum(-1);
  }

  bool whole_;
  int64_t d_;
};

}  // namespace

std::shared_ptr<const ConjugateFamily> conjugate_gaussian(const std::string& law,
                                                          const WeightedMleOptions& options,
                                                          ConjugatePrior prior) {
  return std::make_shared<ConjugateGaussian>(law, options, std::move(prior));
}

}  // namespace elbo::detail
