// What the estimators that draw from a guide have in common.
#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "elbo/estimators/bound.h"
#include "elbo/program/handlers.h"

namespace elbo::detail {

enum class Draws {
  kPathwise,  ///< the gradient flows through them
  kDetached,  ///< of any law; the gradient takes them as constants
  /// Sites with finitely many values take all of them, one after another; others are pathwise
  /// draws, one for each of the values that their law depends on.
  kEnumerated,
};

/// A guide's trace and the model's, replayed at its draws.
struct TracePair {
  /// **Throws** SiteError, in the name of `estimator`, unless the two have the same latent sites
  /// and every draw of the guide that the gradient is to flow through can be reparameterised.
  TracePair(const std::string& estimator, const Program& model, const Program& guide,
            const Batch& batch, const Noise& noise, int64_t num_particles,
            Draws draws = Draws::kPathwise)
      : guide(Trace::run(draws == Draws::kEnumerated ? enumerate(guide) : guide, batch, noise,
                         {.num_particles = num_particles,
                          .requires_grad = draws != Draws::kDetached,
                          .draw_each = draws == Draws::kEnumerated})),
        model(Trace::run(
            replay(model, this->guide), batch, noise,
            {.num_particles = num_particles, .enumerated = this->guide.enumerated_sizes()})) {
    check(estimator + ": ", draws);
  }

  Trace guide, model;

 private:
  void check(const std::string& estimator, Draws draws) const {
    for (const Site& q : guide.sites()) {
      if (q.observed) continue;
      const Site* p = model.find(q.name);
      const std::string site = estimator + "guide site '" + q.name + "'";
      if (p == nullptr) throw SiteError(site + " is not in the model");
      if (p->observed) throw SiteError(site + " is observed in the model");
      if (p->distribution->event_shape() != q.distribution->event_shape())
        throw ShapeError(estimator + "site '" + q.name +
                         "' has different event shapes in model and guide");
      if (q.enumerated) {
        if (!p->distribution->is_discrete())
          throw SiteError(site + " (" + q.distribution->name() + ") is enumerated, and " +
                          p->distribution->name() +
                          " in the model; expected a law over finitely many values there too");
      } else if (draws != Draws::kDetached && !q.distribution->has_rsample())
        throw SiteError(site + " (" + q.distribution->name() +
                        ") has no reparameterised sampler; expected one with rsample");
    }
    for (const Site& p : model.sites())
      if (!p.observed && guide.find(p.name) == nullptr)
        throw SiteError(estimator + "latent site '" + p.name +
                        "' of the model is not in the guide");
  }
};

/// Adds a site's term to a sum that may be undefined; a plate's sites come as [L, M].
inline void add(at::Tensor& sum, const at::Tensor& term) {
  sum = sum.defined() ? sum + term : term;
}

/// The terms of a Bound broadcast to [L, M], 0 where there were no sites.
inline void fill(Bound& bound, const std::vector<int64_t>& shape,
                 const at::TensorOptions& options) {
  for (at::Tensor* term : {&bound.reconstruction, &bound.kl}) {
    if (!term->defined())
      *term = at::zeros(shape, options);
    else if (term->sizes() != shape)
      *term = term->expand(shape);
  }
}

}  // namespace elbo::detail
