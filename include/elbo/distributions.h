// All distributions and their KL divergences.
#pragma once

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/distribution.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/uniform.h"
