#include "elbo/estimators/sgvb.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "elbo/distributions/kl.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

void check_sites(const Trace& model, const Trace& guide) {
  for (const Site& q : guide.sites()) {
    if (q.observed) continue;
    const Site* p = model.find(q.name);
    if (p == nullptr) throw SiteError("Sgvb: guide site '" + q.name + "' is not in the model");
    if (p->observed) throw SiteError("Sgvb: guide site '" + q.name + "' is observed in the model");
    if (p->distribution->event_shape() != q.distribution->event_shape())
      throw ShapeError("Sgvb: site '" + q.name + "' has different event shapes in model and guide");
    if (!q.distribution->has_rsample())
      throw SiteError("Sgvb: guide site '" + q.name + "' (" + q.distribution->name() +
                      ") has no reparameterised sampler; expected one with rsample");
  }
  for (const Site& p : model.sites())
    if (!p.observed && guide.find(p.name) == nullptr)
      throw SiteError("Sgvb: latent site '" + p.name + "' of the model is not in the guide");
}

// Adds a site's term to a sum that may be undefined; a plate's sites come as [L, M].
void add(at::Tensor& sum, const at::Tensor& term) { sum = sum.defined() ? sum + term : term; }

}  // namespace

void Sgvb::validate() const {
  if (num_particles < 1)
    throw ConfigError(fmt::format("Sgvb: num_particles = {}; expected >= 1", num_particles));
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
  const TraceOptions options{.num_particles = num_particles};
  const Trace q = Trace::run(guide, batch, noise, options);
  const Trace p = Trace::run(replay(model, q), batch, noise, options);
  check_sites(p, q);

  Bound bound{.total = batch.total};
  for (const Site& site : p.sites()) {
    if (site.observed) {
      const auto term = site.log_prob();
      add(site.in_plate ? bound.reconstruction : bound.global, term);
      continue;
    }
    const Site& guide_site = q.at(site.name);
    std::optional<at::Tensor> kl;
    if (form == SgvbForm::kB && closed_form_kl_is_unbiased(p, q, site.name))
      kl = try_kl_divergence(*guide_site.distribution, *site.distribution);
    if (!kl) kl = guide_site.log_prob() - site.log_prob();
    if (site.in_plate)
      add(bound.kl, *kl);
    else
      add(bound.global, -*kl);
  }
  const std::vector<int64_t> shape = {num_particles, batch.size()};
  const auto zero = [&] { return at::zeros(shape, batch.options()); };
  bound.reconstruction =
      bound.reconstruction.defined() ? bound.reconstruction.expand(shape) : zero();
  bound.kl = bound.kl.defined() ? bound.kl.expand(shape) : zero();
  bound.rows = bound.reconstruction - bound.kl;
  return bound;
}

}  // namespace elbo
