#include "elbo/estimators/sgvb.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "elbo/distributions/kl.h"
#include "elbo/program/enumeration.h"
#include "estimators/detail/trace_pair.h"

namespace elbo {
void Sgvb::validate() const {
  if (num_particles < 1)
    throw ConfigError(fmt::format("Sgvb: num_particles = {}; expected >= 1", num_particles));
  if (!(supervision >= 0))
    throw ConfigError(fmt::format("Sgvb: supervision = {}; expected >= 0", supervision));
}

bool closed_form_kl_is_unbiased(const Trace& model, const Trace& guide, const std::string& name) {
  const auto here = guide.index_of(name);
  for (const Site& earlier : model.sites()) {
    if (earlier.name == name) return true;
    if (!earlier.observed && guide.index_of(earlier.name) > here) return false;
  }
  return true;
}

Bound Sgvb::operator()(const Program& model, const Program& guide, const Batch& batch,
                       const Noise& noise) const {
  validate();
  const detail::TracePair pair("Sgvb", model, guide, batch, noise, num_particles,
                               detail::Draws::kEnumerated);
  const Trace &p = pair.model, &q = pair.guide;
  const GuideExpectation expectation(q);
  Bound bound{.total = batch.total, .weights = batch.weights};
  for (const Site& site : p.sites()) {
    if (site.observed) {
      const auto term = expectation(site.log_prob());
      detail::add(site.in_plate ? bound.reconstruction : bound.global, term);
      continue;
    }
    const Site& guide_site = q.at(site.name);
    std::optional<at::Tensor> kl;
    if (form == SgvbForm::kB && closed_form_kl_is_unbiased(p, q, site.name))
      kl = try_kl_divergence(*guide_site.distribution, *site.distribution);
    if (!kl) kl = guide_site.log_prob() - site.log_prob();
    kl = expectation(*kl);
    if (site.in_plate)
      detail::add(bound.kl, *kl);
    else
      detail::add(bound.global, -*kl);
  }
  detail::fill(bound, {num_particles, batch.size()}, batch.options());
  if (supervision > 0)
    for (const Site& site : q.sites())
      if (site.observed && site.in_plate)
        detail::add(bound.supervision, supervision * expectation(site.log_prob()));
  return bound;
}

}  // namespace elbo
