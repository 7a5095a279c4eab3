#include "elbo/program/handlers.h"

#include <ATen/ATen.h>

#include <utility>

namespace elbo {
namespace {

struct Replay final : Handler {
  explicit Replay(const Trace& source) : source(source) {}
  void process(Site& site) const override {
    if (site.observed || site.value.defined()) return;
    const Site* given = source.find(site.name);
    if (given == nullptr) return;
    site.value = given->value;
    site.enumerated = given->enumerated;
  }
  const Trace& source;
};

struct Condition final : Handler {
  explicit Condition(std::map<std::string, at::Tensor> values) : values(std::move(values)) {}
  void process(Site& site) const override {
    const auto it = values.find(site.name);
    if (it == values.end()) return;
    site.value = it->second;
    site.observed = true;
  }
  std::map<std::string, at::Tensor> values;
};

struct Uncondition final : Handler {
  void process(Site& site) const override {
    if (site.observed) site.value.reset();
  }
};

struct Enumerate final : Handler {
  void process(Site& site) const override {
    site.enumerated = !site.observed && !site.value.defined() && site.distribution->is_discrete();
  }
};

struct OnGrid final : Handler {
  explicit OnGrid(std::map<std::string, at::Tensor> points) : points(std::move(points)) {}
  void process(Site& site) const override {
    const auto it = points.find(site.name);
    if (it == points.end() || site.observed || site.value.defined()) return;
    site.enumerated = true;
    site.points = it->second;
  }
  std::map<std::string, at::Tensor> points;
};

struct Block final : Handler {
  explicit Block(std::function<bool(const Site&)> hide) : hide(std::move(hide)) {}
  void process(Site& site) const override { site.hidden = site.hidden || hide(site); }
  std::function<bool(const Site&)> hide;
};

template <class H>
Program handled(Program program, H handler) {
  return [program = std::move(program), handler = std::move(handler)](Trace& t, const Batch& b) {
    t.with(handler, [&] { program(t, b); });
  };
}

}  // namespace

Program replay(Program program, const Trace& source) {
  return handled(std::move(program), Replay(source));
}
Program condition(Program program, std::map<std::string, at::Tensor> values) {
  return handled(std::move(program), Condition(std::move(values)));
}
Program uncondition(Program program) { return handled(std::move(program), Uncondition()); }
Program enumerate(Program program) { return handled(std::move(program), Enumerate()); }
Program on_grid(Program program, std::map<std::string, at::Tensor> points) {
  return handled(std::move(program), OnGrid(std::move(points)));
}
Program block(Program program, std::function<bool(const Site&)> hide) {
  return handled(std::move(program), Block(std::move(hide)));
}

}  // namespace elbo
