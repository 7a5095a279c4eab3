#include "elbo/inference/latent_density.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "elbo/distributions/bijection.h"
#include "elbo/program/handlers.h"

namespace elbo {
namespace {

/// Whether nothing but the value of this site is left open: neither given, observed nor hidden.
bool is_open(const Site& site) { return !site.observed && !site.hidden && !site.value.defined(); }

/// Lists the sites that the program would draw.
struct List final : Handler {
  void process(Site& site) const override {
    if (is_open(site)) names.push_back(site.name);
  }
  mutable std::vector<std::string> names;
};

BijectionPtr bijection_of(const Site& site) {
  if (site.distribution->is_discrete())
    throw SiteError("LatentDensity: site '" + site.name + "' (" + site.distribution->name() +
                    ") is discrete; expected a continuous law");
  try {
    return biject_to(site.distribution->support());
  } catch (const Error& error) {
    throw SiteError("LatentDensity: site '" + site.name + "': " + error.what());
  }
}

/// Batch and event.
std::vector<int64_t> shape_of(const Site& site) {
  auto shape = site.distribution->batch_shape();
  const auto& event = site.distribution->event_shape();
  shape.insert(shape.end(), event.begin(), event.end());
  return shape;
}

bool is_unconstrained(const Constraint& support) {
  return support.kind() == Constraint::Kind::kReal ||
         support.kind() == Constraint::Kind::kRealVector;
}

int64_t product(const std::vector<int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

/// Gives latent sites the values that belong to u, and collects log |det dz/du|.
class LatentDensity::Substitute final : public Handler {
 public:
  Substitute(const LatentDensity& density, at::Tensor u) : density_(density), u_(std::move(u)) {}

  void process(Site& site) const override {
    if (!is_open(site)) return;
    const auto found = std::find_if(density_.latents_.begin(), density_.latents_.end(),
                                    [&](const Latent& l) { return l.name == site.name; });
    if (found == density_.latents_.end())
      throw SiteError(
          "LatentDensity: site '" + site.name +
          "' was not there when the model first ran; expected the same sites each time");
    const auto u = density_.to_site(*found, u_);
    if (is_unconstrained(site.distribution->support())) {
      site.value = u;
      return;
    }
    const auto bijection = bijection_of(site);
    site.value = bijection->forward(u);
    const auto term =
        density_.by_row(bijection->log_abs_det_jacobian(u, site.value), found->batch_dims);
    log_det_ = log_det_.defined() ? log_det_ + term : term;
  }
  [[nodiscard]] const at::Tensor& log_det() const { return log_det_; }

 private:
  const LatentDensity& density_;
  at::Tensor u_;
  mutable at::Tensor log_det_;
};

LatentDensity::LatentDensity(Program model, Batch batch, LatentDensityOptions options)
    : model_(std::move(model)), batch_(std::move(batch)), options_(options) {
  const List list;
  const Trace trace = run(list, Noise(0), false);
  if (list.names.empty())
    throw SiteError("LatentDensity: the model has no latent site; expected one at least");
  const int64_t data = trace.sites().front().distribution->batch_shape().back();
  for (const Site& site : trace.sites())
    by_datum_ = by_datum_ && site.in_plate && site.distribution->batch_shape().back() == data;
  if (!by_datum_ && batch_.size() != batch_.total)
    throw ConfigError(fmt::format(
        "LatentDensity: the model has sites outside of the plate, so that all rows move "
        "together; expected the whole data set of {} rows, got a batch of {}",
        batch_.total, batch_.size()));
  rows_ = options_.chains * (by_datum_ ? data : 1);
  for (const auto& name : list.names) {
    const Site& site = trace.at(name);
    Latent latent;
    latent.name = name;
    latent.begin = dim_;
    latent.batch_dims = static_cast<int64_t>(site.distribution->batch_shape().size());
    latent.shape = bijection_of(site)->inverse_shape(shape_of(site));
    latent.size = product(latent.shape) / rows_;
    dim_ += latent.size;
    type_ = site.value.options().requires_grad(false);
    latents_.push_back(std::move(latent));
  }
}

Trace LatentDensity::run(const Handler& handler, const Noise& noise, bool requires_grad) const {
  Trace trace(noise, {.num_particles = options_.chains,
                      .plate_dims = options_.plate_dims,
                      .requires_grad = requires_grad});
  trace.with(handler, [&] { model_(trace, batch_); });
  return trace;
}

at::Tensor LatentDensity::to_site(const Latent& latent, const at::Tensor& u) const {
  const auto columns = latent.size == dim_ ? u : u.narrow(1, latent.begin, latent.size);
  if (!by_datum_ || latent.batch_dims == 2) return columns.reshape(latent.shape);
  auto data_second = latent.shape;  // [C, M, inner plates, event]
  const auto data = data_second.begin() + latent.batch_dims - 1;
  std::rotate(data_second.begin() + 1, data, data + 1);
  return columns.reshape(data_second).movedim(1, latent.batch_dims - 1);
}

at::Tensor LatentDensity::from_site(const Latent& latent, const at::Tensor& u) const {
  const auto expanded = u.expand(latent.shape);
  return (by_datum_ ? expanded.movedim(latent.batch_dims - 1, 1) : expanded)
      .reshape({rows_, latent.size});
}

at::Tensor LatentDensity::by_row(const at::Tensor& terms, int64_t batch_dims) const {
  const int64_t last = batch_dims - 1;
  std::vector<int64_t> summed;
  for (int64_t d = 1; d < terms.dim(); ++d)
    if (!by_datum_ || d != last) summed.push_back(d);
  return summed.empty() ? terms : terms.sum(summed);
}

at::Tensor LatentDensity::operator()(const at::Tensor& u) const {
  const WithoutValidation far_out_points_are_no_errors;
  const Substitute substitute(*this, u);
  const Trace trace = run(substitute, Noise(0), false);
  auto total = substitute.log_det();
  for (const Site& site : trace.sites()) {
    const auto term =
        by_row(site.log_prob(), static_cast<int64_t>(site.distribution->batch_shape().size()));
    total = total.defined() ? total + term : term;
  }
  return total.reshape({rows_});
}

std::map<std::string, at::Tensor> LatentDensity::values(const at::Tensor& u) const {
  const at::NoGradGuard no_grad;
  const Trace trace = run(Substitute(*this, u), Noise(0), false);
  std::map<std::string, at::Tensor> out;
  for (const Latent& latent : latents_) out[latent.name] = trace.at(latent.name).value;
  return out;
}

at::Tensor LatentDensity::unconstrained(const Trace& source) const {
  for (const Latent& latent : latents_) (void)source.at(latent.name);
  const at::NoGradGuard no_grad;
  const Trace trace =
      Trace::run(replay(model_, source), batch_, Noise(0),
                 {.num_particles = options_.chains, .plate_dims = options_.plate_dims});
  std::vector<at::Tensor> columns;
  for (const Latent& latent : latents_) {
    const Site& site = trace.at(latent.name);
    const auto value = site.value.expand(shape_of(site));
    columns.push_back(from_site(latent, bijection_of(site)->inverse(value)));
  }
  return at::cat(columns, 1);
}

at::Tensor LatentDensity::prior_draw(const Noise& noise) const {
  const at::NoGradGuard no_grad;
  return unconstrained(Trace::run(model_, batch_, noise,
                                  {.num_particles = options_.chains,
                                   .plate_dims = options_.plate_dims,
                                   .requires_grad = false}));
}

Noise LatentDensity::keyed(const Noise& noise) const {
  const Noise chains = noise.particles(options_.chains);
  return by_datum_ ? chains.rows(batch_.rows) : chains;
}

}  // namespace elbo
