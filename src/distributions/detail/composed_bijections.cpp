// Bijections made of others.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "distributions/detail/bijection_parts.h"

namespace elbo {
namespace {

using detail::sum_last;
using Kind = Constraint::Kind;

class Compose final : public Bijection {
 public:
  explicit Compose(std::vector<BijectionPtr> parts) : parts_(std::move(parts)) {
    if (parts_.empty()) parts_.push_back(bijections::identity());
    out_ = parts_.front()->event_dims_in();
    for (const auto& part : parts_)
      out_ =
          std::max(out_ + part->event_dims_out() - part->event_dims_in(), part->event_dims_out());
    in_ = parts_.back()->event_dims_out();
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part)
      in_ = std::max(in_ + (*part)->event_dims_in() - (*part)->event_dims_out(),
                     (*part)->event_dims_in());
  }
  std::string name() const override {
    std::vector<std::string> names;
    for (const auto& part : parts_) names.push_back(part->name());
    return fmt::format("Compose({})", fmt::join(names, ", "));
  }
  Constraint domain() const override { return promoted(parts_.front()->domain(), in_); }
  Constraint codomain() const override { return promoted(parts_.back()->codomain(), out_); }
  int64_t event_dims_in() const override { return in_; }
  int64_t event_dims_out() const override { return out_; }
  at::Tensor forward(const at::Tensor& u) const override {
    auto x = u;
    for (const auto& part : parts_) x = part->forward(x);
    return x;
  }
  at::Tensor inverse(const at::Tensor& x) const override {
    auto u = x;
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) u = (*part)->inverse(u);
    return u;
  }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor& x) const override {
    at::Tensor total;
    auto from = u;
    int64_t dims = in_;
    for (size_t i = 0; i < parts_.size(); ++i) {
      const auto& part = *parts_[i];
      const auto to = i + 1 == parts_.size() ? x : part.forward(from);
      const auto term = sum_last(part.log_abs_det_jacobian(from, to), dims - part.event_dims_in());
      total = total.defined() ? total + term : term;
      dims += part.event_dims_out() - part.event_dims_in();
      from = to;
    }
    return total;
  }
  at::Tensor decreasing() const override {
    (void)Bijection::decreasing();
    at::Tensor out;
    for (const auto& part : parts_) {
      const auto next = part->decreasing();
      if (next.defined()) out = out.defined() ? out.logical_xor(next) : next;
    }
    return out;
  }
  std::vector<int64_t> forward_shape(at::IntArrayRef shape) const override {
    auto out = Bijection::forward_shape(shape);
    for (const auto& part : parts_) out = part->forward_shape(out);
    return out;
  }
  std::vector<int64_t> inverse_shape(at::IntArrayRef shape) const override {
    auto out = Bijection::inverse_shape(shape);
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part)
      out = (*part)->inverse_shape(out);
    return out;
  }

 private:
  static Constraint promoted(const Constraint& set, int64_t event_dims) {
    return set.kind() == Kind::kReal && event_dims > 0 ? Kind::kRealVector : set;
  }

  std::vector<BijectionPtr> parts_;
  int64_t in_, out_;
};

class Inverse final : public Bijection {
 public:
  explicit Inverse(BijectionPtr of) : of_(std::move(of)) {}
  std::string name() const override { return "Inverse(" + of_->name() + ")"; }
  Constraint domain() const override { return of_->codomain(); }
  Constraint codomain() const override { return of_->domain(); }
  int64_t event_dims_in() const override { return of_->event_dims_out(); }
  int64_t event_dims_out() const override { return of_->event_dims_in(); }
  at::Tensor forward(const at::Tensor& u) const override { return of_->inverse(u); }
  at::Tensor inverse(const at::Tensor& x) const override { return of_->forward(x); }
  at::Tensor log_abs_det_jacobian(const at::Tensor& u, const at::Tensor& x) const override {
    return -of_->log_abs_det_jacobian(x, u);
  }
  at::Tensor decreasing() const override { return of_->decreasing(); }
  std::vector<int64_t> forward_shape(at::IntArrayRef shape) const override {
    return of_->inverse_shape(shape);
  }
  std::vector<int64_t> inverse_shape(at::IntArrayRef shape) const override {
    return of_->forward_shape(shape);
  }

 private:
  BijectionPtr of_;
};

}  // namespace

namespace bijections {
BijectionPtr compose(std::vector<BijectionPtr> parts) {
  return std::make_shared<Compose>(std::move(parts));
}
BijectionPtr inverse_of(BijectionPtr bijection) {
  return std::make_shared<Inverse>(std::move(bijection));
}
}  // namespace bijections

}  // namespace elbo
