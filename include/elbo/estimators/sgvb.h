// The stochastic gradient variational Bayes estimators (AEVB 2.3).
#pragma once

#include "elbo/estimators/bound.h"

namespace elbo {

enum class SgvbForm {
  kA,  ///< AEVB eq 6: log p(x, z) - log q(z | x)
  kB,  ///< AEVB eq 7: the KL in closed form where that is unbiased, plus log p(x | z)
};

/// SGVB-A and SGVB-B of a model and its guide, with L samples.
///
/// B takes the closed form of a site when one is registered and every latent site before it in
/// the model was drawn before it in the guide; otherwise that site uses A (a guide q(z1|x)
/// q(z2|z1) against a model p(z2) p(z1|z2) would make the closed form biased at z1).
///
/// A site of the guide with finitely many values is not drawn but enumerated: the bound is its
/// expectation over them, sum_y q(y|x) (...), exact, with the gradient along q(y|x); whatever
/// depends on y is drawn once for each of its values.
///
/// A site that the guide observes is one that it can also predict, as q(y|x) where y is known: its
/// log density, times `supervision`, is a term of the objective beside the bound (Kingma et al.
/// 2014, eq 9).
/// **Throws** SiteError where model and guide have different latent sites, or a guide's site has
/// neither a reparameterised sampler nor finitely many values.
struct Sgvb {
  SgvbForm form = SgvbForm::kB;
  int64_t num_particles = 1;  ///< L
  double supervision = 0;     ///< >= 0: what an observation of the guide weighs, against the bound

  void validate() const;
  [[nodiscard]] Bound operator()(const Program& model, const Program& guide, const Batch& batch,
                                 const Noise& noise) const;
};

/// Whether E[KL closed form] of site `name` is unbiased for these traces (see Sgvb).
[[nodiscard]] bool closed_form_kl_is_unbiased(const Trace& model, const Trace& guide,
                                              const std::string& name);

}  // namespace elbo
