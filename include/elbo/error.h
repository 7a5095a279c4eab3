// The library's exceptions: every message is one line that says what was found and what was
// expected.
#pragma once

#include <stdexcept>
#include <string>

namespace elbo {

/// Base of everything the library throws.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A tensor's shape is not the one required.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A value lies outside the set where the operation is defined (a negative scale, a pixel of 300).
class DomainError : public Error {
 public:
  using Error::Error;
};

/// A method that has no closed or standard form for a law, or none on a device.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// A model and its guide disagree, or a site is used twice.
class SiteError : public Error {
 public:
  using Error::Error;
};

/// A setting or combination of settings is not valid.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// Reading or writing failed in the operating system (disk full, permission).
class IoError : public Error {
 public:
  using Error::Error;
};

/// The input does not exist.
class NoInputError : public IoError {
 public:
  using IoError::IoError;
};

/// The input exists but its contents are not what its format, or the model, requires.
class DataError : public IoError {
 public:
  using IoError::IoError;
};

/// A computation became NaN or infinite; the only error from which a run may recover.
class NumericError : public Error {
 public:
  using Error::Error;
};

}  // namespace elbo
