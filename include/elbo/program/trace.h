// The trace: what a model or guide, written as an ordinary function, did.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "elbo/batch.h"
#include "elbo/distributions/distribution.h"
#include "elbo/kernels/noise.h"

namespace elbo {

class Trace;

/// A model p(x, z) or a guide q(z | x): any callable of this form.
using Program = std::function<void(Trace&, const Batch&)>;

/// One statement `sample` or `observe`.
struct Site {
  std::string name;
  DistributionPtr distribution{};  ///< batch expanded to [particles, plates...]
  at::Tensor value{};              ///< [particles, plates..., event]
  bool observed = false;
  bool hidden = false;    ///< executed but not recorded (`block`)
  bool in_plate = false;  ///< false for global sites (weights: FVB)
  /// Latent and not drawn: `value` is its whole support, or the points given, along a dimension of
  /// its own in front of the others (`enumerate`, `on_grid`, or replayed from such a trace).
  bool enumerated = false;
  at::Tensor points{};  ///< [K, event], of an enumerated site; undefined: its law's support

  /// log density, event-summed and nothing else: [enumerated..., particles, plates...] in nats.
  [[nodiscard]] at::Tensor log_prob() const;
};

/// Changes a site before it draws: may set `value`, `observed`, `hidden`, `enumerated` or `points`.
/// A site left without a value draws one.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void process(Site& site) const = 0;
};

struct TraceOptions {
  int64_t num_particles = 1;  ///< L
  int64_t plate_dims = 1;     ///< how deep plates nest at most
  bool requires_grad = true;  ///< draw by rsample where the law has it
  /// A site whose law depends on enumerated ones is drawn once for each of their values; otherwise
  /// it is an error, for a sum over the values would not be that of p(x, z).
  bool draw_each = false;
  /// Of a program replayed against a trace: that trace's `enumerated_sizes()`.
  std::vector<int64_t> enumerated = {};
};

/// A plate's extent; ends with the object's life.
class PlateScope {
 public:
  PlateScope(PlateScope&& other) noexcept : trace_(other.trace_) { other.trace_ = nullptr; }
  PlateScope(const PlateScope&) = delete;
  PlateScope& operator=(const PlateScope&) = delete;
  ~PlateScope();

 private:
  friend class Trace;
  explicit PlateScope(Trace* trace) : trace_(trace) {}
  Trace* trace_;
};

/// Records sites in the order they run.
///
/// **Shapes** A site's batch is [particles, plates...]: dimension 0 is always the particles, and a
/// plate that is not active has size 1, so that a global value broadcasts into a plate. A
/// distribution given to `sample` or `observe` may have any batch that broadcasts to it. The i-th
/// enumerated site, of K values, adds a dimension of size K to the left of the particles and of
/// earlier ones: its value is [K, 1...], and laws that depend on it have that dimension.
/// **RNG** a site draws from `noise.site(name)`, keyed by the plate's rows and the particle.
/// **Throws** SiteError on a name used twice; ShapeError where a batch does not broadcast.
class Trace {
 public:
  explicit Trace(Noise noise, TraceOptions options = {});

  /// Conditionally independent rows: `rows` are the data-set indices, int64 [M], of `total` rows.
  /// The scale N/M (AEVB eq 8) is applied by estimators, to the finished bound.
  [[nodiscard]] PlateScope plate(const std::string& name, at::Tensor rows, int64_t total);

  /// A latent variable: draws it, or takes the value a handler gives.
  at::Tensor sample(const std::string& name, const Distribution& distribution);
  /// A known value: x of shape [plates..., event] or [particles, plates..., event]. SiteError for
  /// an undefined one.
  at::Tensor observe(const std::string& name, const Distribution& distribution,
                     const at::Tensor& x);

  [[nodiscard]] const std::vector<Site>& sites() const { return sites_; }
  /// What a site of this name draws from here: keyed by the name, the particles and, in a plate,
  /// its rows. For random numbers of a program that are not latent variables (see
  /// nn/bayesian_linear.h).
  [[nodiscard]] Noise noise(const std::string& name) const;

  [[nodiscard]] const Site* find(const std::string& name) const;
  /// Position in the order of execution, or -1.
  [[nodiscard]] int64_t index_of(const std::string& name) const;
  /// Throws SiteError when there is none.
  [[nodiscard]] const Site& at(const std::string& name) const;
  [[nodiscard]] const TraceOptions& options() const { return options_; }
  /// Of the dimensions to the left of the particles, the nearest first.
  [[nodiscard]] std::vector<int64_t> enumerated_sizes() const;
  /// Which of them an enumerated site's values lie along.
  [[nodiscard]] int64_t enumerated_dim(const Site& site) const;

  /// Runs `body` under a handler; later ones see a site first.
  void with(const Handler& handler, const std::function<void()>& body);

  /// Runs `program` once and gives what it did.
  [[nodiscard]] static Trace run(const Program& program, const Batch& batch, const Noise& noise,
                                 TraceOptions options = {});

 private:
  friend class PlateScope;
  struct Plate {
    std::string name;
    at::Tensor rows;
    int64_t total;
  };
  [[nodiscard]] std::vector<int64_t> batch_shape() const;
  void draw(Site& site) const;
  at::Tensor enumerate(Site&& site);
  at::Tensor finish(Site&& site);

  Noise noise_;
  TraceOptions options_;
  std::vector<Plate> plates_;
  std::vector<const Handler*> handlers_;
  std::vector<Site> sites_;
};

}  // namespace elbo
