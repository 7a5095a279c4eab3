// Layers and heads.
#pragma once

#include "elbo/nn/bayesian_linear.h"
#include "elbo/nn/heads.h"
#include "elbo/nn/linear.h"
#include "elbo/nn/mlp.h"
#include "elbo/nn/weight_posterior.h"
