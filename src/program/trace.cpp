#include "elbo/program/trace.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "elbo/distributions/categorical.h"

namespace elbo {
namespace {

/// `enumerated` are the sizes of the dimensions to the left of `target`, the nearest first.
DistributionPtr expanded(const std::string& site, const Distribution& distribution,
                         std::vector<int64_t> target, const std::vector<int64_t>& enumerated) {
  const auto& batch = distribution.batch_shape();
  const size_t drawn = target.size();
  bool fits = batch.size() <= drawn + enumerated.size();
  for (size_t i = 0; fits && i < batch.size(); ++i) {  // from the right
    const int64_t have = batch[batch.size() - 1 - i];
    if (i < drawn) {
      fits = have == 1 || have == target[target.size() - 1 - i];
    } else {
      fits = have == 1 || have == enumerated[i - drawn];
      target.insert(target.begin(), have);
    }
  }
  if (!fits)
    throw ShapeError(fmt::format(
        "Trace: {} at site '{}' has batch shape [{}]; expected one that broadcasts to "
        "[particles, plates] = [{}] (use to_event for the event's dimensions)",
        distribution.name(), site, fmt::join(batch, ", "),
        fmt::join(target.end() - static_cast<std::ptrdiff_t>(drawn), target.end(), ", ")));
  return batch == target ? distribution.clone() : distribution.expand(target);
}

int64_t numel_before(const std::vector<int64_t>& shape, size_t kept) {
  int64_t n = 1;
  for (size_t i = 0; i + kept < shape.size(); ++i) n *= shape[i];
  return n;
}

/// The points given, or all values of a law with finitely many: [K, event].
at::Tensor support_of(const Site& site) {
  const auto& law = *site.distribution;
  if (site.points.defined()) {
    const auto& event = law.event_shape();
    if (site.points.dim() != 1 + static_cast<int64_t>(event.size()) ||
        site.points.sizes().slice(1) != at::IntArrayRef(event))
      throw ShapeError(
          fmt::format("Trace: site '{}' is given points of shape [{}]; expected [K, {}]", site.name,
                      fmt::join(site.points.sizes(), ", "), fmt::join(event, ", ")));
    return site.points;
  }
  const auto set = law.support();
  if (law.event_shape().empty() && set.kind() == Constraint::Kind::kBinary)
    return at::arange(2, law.mean().options());
  if (law.event_shape().empty() && set.kind() == Constraint::Kind::kIntegerInterval) {
    const auto low = set.lower().min(), high = set.upper().max();
    if (set.lower().eq(low).all().item<bool>() && set.upper().eq(high).all().item<bool>())
      return at::arange(low.item<int64_t>(), high.item<int64_t>() + 1,
                        set.upper().options().dtype(at::kLong));
  }
  throw SiteError(
      fmt::format("Trace: site '{}' ({}) cannot be enumerated; expected a law over "
                  "finitely many numbers, the same for all rows",
                  site.name, law.name()));
}

// Given values may broadcast in the batch alone: an event of the wrong shape is a mistake. To the
// left of the particles they have what dimensions the enumerated sites have.
void check_value(const Site& site, size_t drawn, const std::vector<int64_t>& enumerated) {
  const auto given = site.value.sizes();
  const auto& event = site.distribution->event_shape();
  const auto& batch = site.distribution->batch_shape();
  bool fits = given.size() >= event.size() &&
              given.size() <= drawn + enumerated.size() + event.size() &&
              std::equal(event.rbegin(), event.rend(), given.rbegin());
  for (size_t i = 0; fits && i + event.size() < given.size(); ++i) {  // from the right
    const int64_t have = given[given.size() - 1 - event.size() - i];
    fits = have == 1 || have == (i < drawn ? batch[batch.size() - 1 - i] : enumerated[i - drawn]);
  }
  if (!fits)
    throw ShapeError(fmt::format(
        "Trace: site '{}' is given a value of shape [{}]; expected one that "
        "broadcasts to [particles, plates] = [{}] and ends in the event shape [{}]",
        site.name, fmt::join(given, ", "), fmt::join(batch, ", "), fmt::join(event, ", ")));
}

}  // namespace

at::Tensor Site::log_prob() const {
  const auto* categorical = dynamic_cast<const Categorical*>(distribution.get());
  if (!enumerated || points.defined() || categorical == nullptr)
    return distribution->log_prob(value);
  // All of log p: a view, where looking each value up would copy it for every row. It needs the
  // site's own dimension to the left of those that its law has.
  if (distribution->batch_shape().size() >= static_cast<size_t>(value.dim()))
    return distribution->log_prob(value);
  auto all = categorical->logits().movedim(-1, 0);
  while (all.dim() < value.dim()) all = all.unsqueeze(1);
  return all;
}

PlateScope::~PlateScope() {
  if (trace_ != nullptr) trace_->plates_.pop_back();
}

Trace::Trace(Noise noise, TraceOptions options) : noise_(std::move(noise)), options_(options) {
  if (options_.num_particles < 1)
    throw ConfigError(
        fmt::format("Trace: num_particles = {}; expected >= 1", options_.num_particles));
}

PlateScope Trace::plate(const std::string& name, at::Tensor rows, int64_t total) {
  if (static_cast<int64_t>(plates_.size()) == options_.plate_dims)
    throw SiteError(fmt::format("Trace: plate '{}' nests deeper than plate_dims = {}", name,
                                options_.plate_dims));
  plates_.push_back({name, std::move(rows), total});
  return PlateScope(this);
}

std::vector<int64_t> Trace::batch_shape() const {
  std::vector<int64_t> shape(static_cast<size_t>(1 + options_.plate_dims), 1);
  shape[0] = options_.num_particles;
  // The outermost plate is the rightmost dimension: its rows keep their place when one nests.
  for (size_t i = 0; i < plates_.size(); ++i) shape[shape.size() - 1 - i] = plates_[i].rows.size(0);
  return shape;
}

at::Tensor Trace::sample(const std::string& name, const Distribution& distribution) {
  if (find(name) != nullptr) throw SiteError("Trace: site '" + name + "' is used twice");
  Site site{.name = name,
            .distribution = expanded(name, distribution, batch_shape(), enumerated_sizes()),
            .in_plate = !plates_.empty()};
  return finish(std::move(site));
}

std::vector<int64_t> Trace::enumerated_sizes() const {
  std::vector<int64_t> sizes = options_.enumerated;
  for (const Site& site : sites_) {
    if (!site.enumerated) continue;
    const auto dim = static_cast<size_t>(enumerated_dim(site));
    if (dim >= sizes.size()) sizes.resize(dim + 1, 1);
    sizes[dim] = site.value.size(0);
  }
  return sizes;
}

int64_t Trace::enumerated_dim(const Site& site) const {
  const auto event = static_cast<int64_t>(site.distribution->event_shape().size());
  return site.value.dim() - event - 2 - options_.plate_dims;
}

at::Tensor Trace::enumerate(Site&& site) {
  if (site.hidden)
    throw SiteError("Trace: site '" + site.name + "' is enumerated and hidden; expected one");
  const auto support = support_of(site);
  std::vector<int64_t> shape(1 + enumerated_sizes().size() + batch_shape().size(), 1);
  shape[0] = support.size(0);
  const auto event = support.sizes().slice(1);
  shape.insert(shape.end(), event.begin(), event.end());
  auto value = site.value = support.view(shape);
  sites_.push_back(std::move(site));
  return value;
}

at::Tensor Trace::observe(const std::string& name, const Distribution& distribution,
                          const at::Tensor& x) {
  if (find(name) != nullptr) throw SiteError("Trace: site '" + name + "' is used twice");
  if (!x.defined()) throw SiteError("Trace: site '" + name + "' observes no value");
  Site site{.name = name,
            .distribution = expanded(name, distribution, batch_shape(), enumerated_sizes()),
            .value = x,
            .observed = true,
            .in_plate = !plates_.empty()};
  return finish(std::move(site));
}

void Trace::draw(Site& site) const {
  const int64_t values = numel_before(site.distribution->batch_shape(), batch_shape().size());
  if (values > 1 && !options_.draw_each)
    throw SiteError("Trace: site '" + site.name +
                    "' is drawn from a law that depends on an enumerated one; expected it to be "
                    "enumerated too, or observed");
  const Noise of_site = noise(site.name).particles(values * options_.num_particles);
  const bool pathwise = options_.requires_grad && site.distribution->has_rsample();
  site.value = pathwise ? site.distribution->rsample(of_site) : site.distribution->sample(of_site);
}

Noise Trace::noise(const std::string& name) const {
  const Noise of_name = noise_.site(name).particles(options_.num_particles);
  if (plates_.empty()) return of_name;
  // One id a cell of [..., plate 1, plate 0], so that nested draws follow their rows too.
  auto rows = plates_.front().rows;
  for (size_t i = 1; i < plates_.size(); ++i)
    rows = (rows * plates_[i].total + plates_[i].rows.unsqueeze(-1)).flatten();
  return of_name.rows(rows);
}

at::Tensor Trace::finish(Site&& site) {
  for (auto h = handlers_.rbegin(); h != handlers_.rend(); ++h) (*h)->process(site);
  if (site.enumerated && !site.value.defined()) return enumerate(std::move(site));
  // With a value it is one that was replayed, unless a handler has overruled `enumerate`.
  site.enumerated = site.enumerated && !site.observed && enumerated_dim(site) >= 0;
  if (!site.value.defined()) draw(site);
  check_value(site, batch_shape().size(), enumerated_sizes());
  auto value = site.value;
  if (!site.hidden) sites_.push_back(std::move(site));
  return value;
}

const Site* Trace::find(const std::string& name) const {
  const auto index = index_of(name);
  return index < 0 ? nullptr : &sites_[static_cast<size_t>(index)];
}

int64_t Trace::index_of(const std::string& name) const {
  const auto it =
      std::find_if(sites_.begin(), sites_.end(), [&](const Site& s) { return s.name == name; });
  return it == sites_.end() ? -1 : it - sites_.begin();
}

const Site& Trace::at(const std::string& name) const {
  const Site* site = find(name);
  if (site == nullptr) throw SiteError("Trace: no site '" + name + "'");
  return *site;
}

void Trace::with(const Handler& handler, const std::function<void()>& body) {
  struct Scope {
    std::vector<const Handler*>& handlers;
    ~Scope() { handlers.pop_back(); }
  };
  handlers_.push_back(&handler);
  const Scope scope{handlers_};
  body();
}

Trace Trace::run(const Program& program, const Batch& batch, const Noise& noise,
                 TraceOptions options) {
  Trace trace(noise, options);
  program(trace, batch);
  return trace;
}

}  // namespace elbo
