#include "elbo/program/trace.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace elbo {
namespace {

DistributionPtr expanded(const std::string& site, const Distribution& distribution,
                         const std::vector<int64_t>& target) {
  const auto& batch = distribution.batch_shape();
  bool fits = batch.size() <= target.size();
  for (size_t i = 0; fits && i < batch.size(); ++i) {  // from the right
    const int64_t have = batch[batch.size() - 1 - i];
    fits = have == 1 || have == target[target.size() - 1 - i];
  }
  if (!fits)
    throw ShapeError(
        fmt::format("Trace: {} at site '{}' has batch shape [{}]; expected one that broadcasts to "
                    "[particles, plates] = [{}] (use to_event for the event's dimensions)",
                    distribution.name(), site, fmt::join(batch, ", "), fmt::join(target, ", ")));
  return batch == target ? distribution.clone() : distribution.expand(target);
}

// Given values may broadcast in the batch alone: an event of the wrong shape is a mistake.
void check_value(const Site& site) {
  const auto given = site.value.sizes();
  const auto& event = site.distribution->event_shape();
  const auto& batch = site.distribution->batch_shape();
  bool fits = given.size() >= event.size() && given.size() <= batch.size() + event.size() &&
              std::equal(event.rbegin(), event.rend(), given.rbegin());
  for (size_t i = 0; fits && i + event.size() < given.size(); ++i) {  // from the right
    const int64_t have = given[given.size() - 1 - event.size() - i];
    fits = have == 1 || have == batch[batch.size() - 1 - i];
  }
  if (!fits)
    throw ShapeError(fmt::format(
        "Trace: site '{}' is given a value of shape [{}]; expected one that "
        "broadcasts to [particles, plates] = [{}] and ends in the event shape [{}]",
        site.name, fmt::join(given, ", "), fmt::join(batch, ", "), fmt::join(event, ", ")));
}

}  // namespace

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
            .distribution = expanded(name, distribution, batch_shape()),
            .in_plate = !plates_.empty()};
  return finish(std::move(site));
}

at::Tensor Trace::observe(const std::string& name, const Distribution& distribution,
                          const at::Tensor& x) {
  if (find(name) != nullptr) throw SiteError("Trace: site '" + name + "' is used twice");
  if (!x.defined()) throw SiteError("Trace: site '" + name + "' observes no value");
  Site site{.name = name,
            .distribution = expanded(name, distribution, batch_shape()),
            .value = x,
            .observed = true,
            .in_plate = !plates_.empty()};
  return finish(std::move(site));
}

void Trace::draw(Site& site) const {
  Noise noise = noise_.site(site.name).particles(options_.num_particles);
  if (!plates_.empty()) {
    // One id a cell of [..., plate 1, plate 0], so that nested draws follow their rows too.
    auto rows = plates_.front().rows;
    for (size_t i = 1; i < plates_.size(); ++i)
      rows = (rows * plates_[i].total + plates_[i].rows.unsqueeze(-1)).flatten();
    noise = noise.rows(rows);
  }
  const bool pathwise = options_.requires_grad && site.distribution->has_rsample();
  site.value = pathwise ? site.distribution->rsample(noise) : site.distribution->sample(noise);
}

at::Tensor Trace::finish(Site&& site) {
  for (auto h = handlers_.rbegin(); h != handlers_.rend(); ++h) (*h)->process(site);
  if (!site.value.defined()) draw(site);
  check_value(site);
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
