// What laws over vectors and matrices have in common.
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "elbo/distributions/distribution.h"

namespace elbo::detail {

/// In float64: densities are computed there and rounded, whatever the parameters' dtype.
at::Tensor wide(const at::Tensor& x);
/// Brings parameters to their common floating dtype.
void unify(std::initializer_list<at::Tensor*> parameters);

/// The shape of a parameter without its last `event_dims` dimensions. Throws ShapeError, naming
/// the parameter, where it has fewer.
std::vector<int64_t> batch_of(const std::string& law, const char* parameter,
                              const at::Tensor& value, int64_t event_dims);
/// Its last `event_dims` dimensions.
std::vector<int64_t> event_of(const std::string& law, const char* parameter,
                              const at::Tensor& value, int64_t event_dims);
/// `parameter` broadcast to `batch_shape` in front of its last `event_dims` dimensions.
at::Tensor expand_batch(const at::Tensor& parameter, at::IntArrayRef batch_shape,
                        int64_t event_dims);
/// Throws ShapeError unless x ends in the event's shape.
void check_event(const std::string& law, const at::Tensor& x, at::IntArrayRef event_shape);
/// Throws ShapeError unless `value` is [.., dim, dim].
void check_square(const std::string& law, const char* parameter, const at::Tensor& value,
                  int64_t dim);

/// `value` where `ok`, else -inf.
at::Tensor or_impossible(const at::Tensor& ok, const at::Tensor& value);
/// `x` where `ok` (of x's shape without `event_dims` dimensions), else `filler`: so that a branch
/// not taken has no NaN gradient.
at::Tensor or_filler(const at::Tensor& ok, const at::Tensor& x, const at::Tensor& filler,
                     int64_t event_dims);
/// Vectors >= 0 that sum to 1, up to the rounding of float32.
at::Tensor on_simplex(const at::Tensor& x);
/// **Throws** DomainError unless probs >= 0 and their sum is positive and finite.
void check_probs(const std::string& law, const at::Tensor& probs);
/// **Throws** DomainError where a logit is NaN or +inf, or all are -inf.
void check_logits(const std::string& law, const at::Tensor& logits);
/// log(probs / sum probs) in float64 of weights along the last dimension; none may have a NaN
/// gradient. **Throws** as `check_probs` when asked to validate.
at::Tensor log_of_probs(const std::string& law, const at::Tensor& probs, Validate validate);
/// The same of logits.
at::Tensor log_of_logits(const std::string& law, const at::Tensor& logits, Validate validate);
/// Rounds a draw to `type` and keeps it above 0.
at::Tensor positive(const at::Tensor& draw, at::ScalarType type);

/// Matrix [B.., m, d] times each vector [S.., B.., d]; the matrix is not copied for S.
at::Tensor times(const at::Tensor& matrix, const at::Tensor& vectors);
/// L^-1 v for each vector, likewise.
at::Tensor solve_lower(const at::Tensor& lower, const at::Tensor& vectors);
/// |L^-1 (x - loc)|^2 in float64 for parameters of one dtype: [S.., B..].
at::Tensor squared_distance(const at::Tensor& x, const at::Tensor& loc, const at::Tensor& lower);
/// log |L|
at::Tensor log_det(const at::Tensor& lower);
/// Values of a Cholesky factor: **Throws** DomainError unless it is finite and lower triangular
/// with a positive diagonal.
void check_scale_tril(const std::string& law, const at::Tensor& scale_tril);
/// The lower factor of `matrix`, called `parameter` in the DomainError where it has none.
at::Tensor cholesky(const std::string& law, const char* parameter, const at::Tensor& matrix,
                    Validate validate);
/// The lower factor of the inverse of `precision`.
at::Tensor cholesky_of_inverse(const std::string& law, const char* parameter,
                               const at::Tensor& precision, Validate validate);
/// (L L^T)^-1
at::Tensor inverse_of_product(const at::Tensor& lower);

/// log Gamma(a + h) - log Gamma(a), exact for large a too.
at::Tensor log_gamma_ratio(const at::Tensor& a, const at::Tensor& h);
/// digamma(a + h) - digamma(a), likewise.
at::Tensor digamma_ratio(const at::Tensor& a, const at::Tensor& h);
/// Logarithms, in float64, of draws of Gamma(concentration, 1), which do not underflow. The
/// gradient is the implicit one of that law.
at::Tensor log_gamma_draws(const Noise& noise, at::IntArrayRef shape,
                           const at::Tensor& concentration);

}  // namespace elbo::detail
