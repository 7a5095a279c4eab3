#include "support/train_em.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <chrono>
#include <vector>

#include "elbo/evaluation/elbo.h"
#include "elbo/inference/linear_gaussian_em.h"
#include "elbo/inference/mixture_fit.h"
#include "elbo/models/mixture.h"
#include "elbo/models/ppca.h"
#include "support/interrupt.h"
#include "support/progress_bar.h"
#include "support/report.h"

namespace elbo::cli {
namespace {

/// What a fit ended with.
struct Fitted {
  double log_likelihood = 0;  ///< nats per datum
  int64_t parameters = 0;     ///< free ones; 0 where they are integrated out
  bool converged = false;
  std::vector<double> curve = {};    ///< the log likelihood after each iteration
  std::vector<double> seconds = {};  ///< since the fit began, of each
  nlohmann::json more = nlohmann::json::object();
};

/// An iteration's news: on standard error, and how long it took.
class News {
 public:
  explicit News(const Settings& s)
      : iterations_(s.integer("iterations")), restarts_(s.integer("restarts")) {}

  /// False where the user has asked to stop.
  bool operator()(int64_t restart, int64_t iteration, double log_likelihood) {
    seconds_.resize(static_cast<size_t>(restart) + 1);
    seconds_.back().push_back(elapsed());
    const double done = static_cast<double>(restart * iterations_ + iteration) /
                        static_cast<double>(restarts_ * iterations_);
    const auto start =
        restarts_ > 1 ? fmt::format("start {} of {}  ", restart + 1, restarts_) : std::string();
    bar_.update(done, fmt::format("{}iteration {}  log likelihood {:.4f}", start, iteration,
                                  log_likelihood));
    return !interrupted();
  }
  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }
  [[nodiscard]] const std::vector<double>& seconds(int64_t restart) const {
    return seconds_[static_cast<size_t>(restart)];
  }
  void clear() { bar_.clear(); }

 private:
  int64_t iterations_, restarts_;
  ProgressBar bar_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::vector<std::vector<double>> seconds_;  ///< of each start's iterations
};

/// From the likelihoods before each iteration: those after it, and the last one's.
std::vector<double> after_each(std::vector<double> before, double last) {
  if (!before.empty()) before.erase(before.begin());
  before.push_back(last);
  return before;
}

/// The sample's mean and covariance in one pass, about the first rows' mean.
std::pair<at::Tensor, at::Tensor> mean_and_covariance(const RowStream& rows) {
  constexpr int64_t kChunk = 2000;
  at::Tensor around, sum, products;
  for (int64_t first = 0; first < rows.total; first += kChunk) {
    const auto batch = rows.range(first, std::min(kChunk, rows.total - first));
    if (batch.mask.defined() && !batch.mask.all().item<bool>())
      throw DataError(
          "--learner closed-form: the rows have missing entries; expected --learner em");
    if (!around.defined()) around = batch["x"].mean(0);
    const auto x = batch["x"] - around;
    sum = sum.defined() ? sum + x.sum(0) : x.sum(0);
    products = products.defined() ? products.addmm(x.t(), x) : x.t().matmul(x);
  }
  const auto mean = sum / static_cast<double>(rows.total);
  return {mean + around, products / static_cast<double>(rows.total) - mean.outer(mean)};
}

Fitted fit(Mixture& mixture, const Settings& s, const RowStream& rows, News& news) {
  EmOptions em_options;
  if (mixture.is_bayesian()) {
    const auto [mean, covariance] = mean_and_covariance(rows);
    const auto n = static_cast<double>(rows.total);
    mixture.set_prior(mean, covariance * (n / std::max(1.0, n - 1)));
    em_options.beside_rows = [&](int64_t total) { return mixture.beside_rows(total); };
  }
  Em em(mixture.model(), mixture.m_steps(), em_options);
  const MixtureFitOptions options{
      .start = s.word("start") == "kmeans" ? MixtureStart::kKmeans : MixtureStart::kRandom,
      .restarts = s.integer("restarts"),
      .max_iterations = s.integer("iterations"),
      .tolerance = s.real("tolerance")};
  const auto noise = Noise(static_cast<uint64_t>(s.integer("seed"))).site("mixture");
  const auto found = fit_mixture(em, rows, s.integer("components"), noise, options, std::ref(news));
  nlohmann::json more = {{"restart", found.restart + 1}};
  if (mixture.is_bayesian())
    more["components_in_use"] = mixture.expected_rows().ge(1).sum().item<int64_t>();
  else
    more["repairs"] = found.repairs;
  return {.log_likelihood = found.log_likelihood,
          .parameters = mixture.is_bayesian() ? 0 : mixture.degrees_of_freedom(),
          .converged = found.converged,
          .curve = after_each(found.curve, found.log_likelihood),
          .seconds = news.seconds(found.restart),
          .more = std::move(more)};
}

Fitted fit(Ppca& ppca, const Settings& s, const RowStream& rows, News& news) {
  const auto theta = ppca.parameters().front().second;
  LinearGaussianEm em({theta[0].second, theta[1].second, theta[2].second});
  Fitted out{.parameters = ppca.degrees_of_freedom()};
  if (s.word("learner") == "closed-form") {
    const auto [mean, covariance] = mean_and_covariance(rows);
    ppca.set_closed_form(mean, covariance);
    out.converged = true;
  } else {
    em.start(rows, Noise(static_cast<uint64_t>(s.integer("seed"))).site("ppca"));
  }
  const int64_t iterations = out.converged ? 0 : s.integer("iterations");
  for (int64_t i = 1; i <= iterations && !out.converged; ++i) {
    out.curve.push_back(em.iterate(rows));
    const size_t n = out.curve.size();
    out.converged = n > 1 && out.curve[n - 1] - out.curve[n - 2] <= s.real("tolerance");
    if (!news(0, i, out.curve.back())) break;
  }
  out.log_likelihood = em.log_likelihood(rows);
  if (!out.curve.empty()) out.seconds = news.seconds(0);
  out.curve = after_each(std::move(out.curve), out.log_likelihood);
  const auto sigma = (0.5 * theta[2].second).exp();
  out.more["smallest_sigma"] = sigma.min().item<double>();
  return out;
}

Fitted fit(const LoadedRun& run, const RowStream& rows, News& news) {
  if (auto* mixture = dynamic_cast<Mixture*>(run.model.get()))
    return fit(*mixture, run.settings, rows, news);
  return fit(dynamic_cast<Ppca&>(*run.model), run.settings, rows, news);
}

nlohmann::json line_of(size_t iteration, int64_t rows, double seconds, double log_likelihood) {
  return {{"epoch", iteration},
          {"samples", static_cast<int64_t>(iteration) * rows},
          {"seconds", seconds},
          {"train_elbo", log_likelihood}};
}

nlohmann::json last_line(const LoadedRun& run, const data::DataSet& set, int64_t rows,
                         const Fitted& fitted, double seconds) {
  auto line = line_of(fitted.curve.size(), rows, seconds, fitted.log_likelihood);
  line.update(fitted.more);
  if (fitted.parameters > 0) {
    line["free_parameters"] = fitted.parameters;
    line["bic"] = bic(fitted.log_likelihood, fitted.parameters, rows);
    line["aic"] = aic(fitted.log_likelihood, fitted.parameters, rows);
  }
  line["converged"] = fitted.converged;
  if (set.test.rows() == 0) return line;
  const data::BatchSource test(set.test, set.scale,
                               data::parse_binarize(run.settings.word("binarize")), at::kDouble);
  check_support(run, set, test);
  const auto e = evaluate_elbo(*run.model, test);
  line["test_elbo"] = e.mean;
  line["test_standard_error"] = e.standard_error;
  return line;
}

}  // namespace

void train_by_em(const LoadedRun& run, const data::DataSet& set, const data::BatchSource& source,
                 bool json) {
  check_support(run, set, source);
  // One draw of a sampled binarisation: the rows of EM are the same in every iteration.
  const Noise noise(static_cast<uint64_t>(run.settings.integer("seed")));
  const RowStream rows{source.rows(), [&](int64_t first, int64_t count) {
                         return source.range(first, count, noise);
                       }};
  News news(run.settings);
  const auto fitted = fit(run, rows, news);
  news.clear();
  for (size_t i = 0; i + 1 < fitted.curve.size(); ++i)
    run.directory.append_metrics(line_of(i + 1, source.rows(), fitted.seconds[i], fitted.curve[i]));
  const auto last = last_line(run, set, source.rows(), fitted, news.elapsed());
  run.directory.append_metrics(last);
  save_weights(run.directory, *run.model);
  write_report(run, set);
  if (json) {
    fmt::print("{}\n", last.dump());
    return;
  }
  const auto ended = fitted.converged ? "converged" : interrupted() ? "stopped" : "not converged";
  fmt::print("{} {:.4f} nats per datum, {} after {} iterations\n",
             fitted.parameters > 0 ? "log likelihood" : "bound", fitted.log_likelihood, ended,
             fitted.curve.size());
  if (fitted.parameters > 0)
    fmt::print("BIC {:.1f}, AIC {:.1f} with {} free parameters\n", last["bic"].get<double>(),
               last["aic"].get<double>(), fitted.parameters);
  else
    fmt::print("{} of {} components hold a row or more\n", last["components_in_use"].get<int64_t>(),
               run.settings.integer("components"));
  if (last.contains("test_elbo"))
    fmt::print("test log likelihood {:.4f} nats per datum\n", last["test_elbo"].get<double>());
  fmt::print("wrote {}: open {} in a browser\n", run.directory.path().string(),
             run.directory.report().string());
}

}  // namespace elbo::cli
