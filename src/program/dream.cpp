#include "elbo/program/dream.h"

#include <ATen/ATen.h>

#include "elbo/program/handlers.h"

namespace elbo {

Dream dream(const Program& model, const Batch& batch, const Noise& noise) {
  Batch dreamt = batch;
  dreamt.rows = at::arange(batch.size(), at::kLong);
  const at::NoGradGuard no_grad;
  auto trace = Trace::run(uncondition(model), dreamt, noise, {.requires_grad = false});
  for (const Site& site : trace.sites()) {
    if (!site.observed) continue;
    const auto column = dreamt.columns.find(site.name);
    if (column == dreamt.columns.end())
      throw SiteError("dream: observed site '" + site.name +
                      "' has no column of its name, by which a guide would see it");
    column->second = site.value.squeeze(0);
  }
  return {std::move(trace), std::move(dreamt)};
}

}  // namespace elbo
