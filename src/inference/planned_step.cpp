#include "elbo/inference/planned_step.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

namespace elbo {
namespace {

/// Calls visit(name, tensor) for every tensor that a batch may have.
template <class B, class Visit>
void for_each_tensor(B& batch, const Visit& visit) {
  for (auto& [name, column] : batch.columns) visit(name, column);
  visit("(rows)", batch.rows);
  visit("(mask)", batch.mask);
  visit("(weights)", batch.weights);
  visit("(lengths)", batch.lengths);
}

std::vector<at::Tensor> tensors_of(const Batch& batch) {
  std::vector<at::Tensor> out;
  for_each_tensor(batch, [&](const std::string&, const at::Tensor& x) { out.push_back(x); });
  return out;
}

/// Of contiguous tensors of one shape: whether they are the same numbers.
bool is_same_memory(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() && b.defined() && a.data_ptr() == b.data_ptr() && a.is_contiguous() &&
         b.is_contiguous();
}

/// To the bit on the CPU. On a GPU sums may be taken in another order each time.
bool is_same(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.is_cpu()) return at::equal(a, b);
  constexpr double kOfLargest = 1e-4;
  return a.sizes() == b.sizes() && ((a - b).abs().max() <= kOfLargest * b.abs().max()).item<bool>();
}

bool are_same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), is_same);
}

}  // namespace

PlannedStep::Signature PlannedStep::signature_of(const Batch& batch, const Noise& noise) {
  Signature out;
  out.numbers = {batch.total, static_cast<int64_t>(noise.key()), at::get_num_threads()};
  for_each_tensor(batch, [&](const std::string& name, const at::Tensor& x) {
    if (!x.defined()) return;
    out.names += name + "\n";
    out.numbers.push_back(static_cast<int64_t>(x.scalar_type()));
    out.numbers.push_back(x.dim());
    for (const int64_t size : x.sizes()) out.numbers.push_back(size);
  });
  return out;
}

void PlannedStep::record(const Batch& batch, const Noise& noise, const Body& body) {
  const auto before = tensors_of(previous_);
  inputs_ = batch;
  borrowed_.clear();
  for_each_tensor(inputs_, [&](const std::string&, at::Tensor& x) {
    const size_t i = borrowed_.size();
    borrowed_.push_back(i < before.size() && is_same_memory(x, before[i]));
    if (x.defined() && !borrowed_[i]) x = x.clone(at::MemoryFormat::Contiguous);
  });
  previous_ = {};
  const at::Device device = inputs_.columns.begin()->second.device();
  plan_ = Plan::record(
      noise, [&] { results_ = body(inputs_, noise); }, device);
  replayed_ = 0;
  refusal_ = plan_->refusal();
  if (!refusal_.empty()) plan_.reset();
  if (device.is_cpu()) return;  // recorded as it ran
  if (plan_)
    plan_->replay(noise.step());
  else
    results_ = body(batch, noise);
}

bool PlannedStep::load(const Batch& batch) {
  const auto given = tensors_of(batch);
  size_t i = 0;
  bool all = true;
  for_each_tensor(inputs_, [&](const std::string&, at::Tensor& x) {
    if (borrowed_[i])
      all = all && is_same_memory(x, given[i]);
    else if (x.defined())
      x.copy_(given[i]);
    ++i;
  });
  return all;
}

void PlannedStep::check(const Batch& batch, const Noise& noise, const Body& body) {
  const auto effect = effect_.clone();
  const auto run = body(batch, noise);
  if (is_same(effect, effect_) && are_same(run, results_)) return;
  results_ = run;
  refusal_ = "what it computes changes from step to step";
  plan_.reset();
}

const std::vector<at::Tensor>& PlannedStep::operator()(const Batch& batch, const Noise& noise,
                                                       const Body& body) {
  const at::Tensor* x = batch.columns.empty() ? nullptr : &batch.columns.begin()->second;
  const bool can_be_planned = refusal_.empty() && x != nullptr && Plan::can_record(x->device());
  if (!can_be_planned) return results_ = body(batch, noise);
  auto signature = signature_of(batch, noise);
  if (plan_ && signature == planned_for_) {
    if (load(batch)) {
      plan_->replay(noise.step());
      if (replayed_++ % kCheckEvery == 0) check(batch, noise, body);
    } else {
      record(batch, noise, body);
    }
    return results_;
  }
  if (signature == last_) {
    planned_for_ = signature;
    record(batch, noise, body);
  } else {
    previous_ = batch;
    results_ = body(batch, noise);
  }
  last_ = std::move(signature);
  return results_;
}

}  // namespace elbo
