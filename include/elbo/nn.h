// Layers and heads.
#pragma once

#include "elbo/nn/heads.h"
#include "elbo/nn/linear.h"
#include "elbo/nn/mlp.h"
