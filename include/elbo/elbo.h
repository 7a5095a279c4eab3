// The whole library.
#pragma once

#include "elbo/batch.h"
#include "elbo/data/batch_source.h"
#include "elbo/data/data_set.h"
#include "elbo/distributions.h"
#include "elbo/error.h"
#include "elbo/estimators/expectation_gradient.h"
#include "elbo/estimators/sgvb.h"
#include "elbo/evaluation/elbo.h"
#include "elbo/evaluation/pictures.h"
#include "elbo/inference/aevb.h"
#include "elbo/io/run_directory.h"
#include "elbo/models/model.h"
#include "elbo/models/vae.h"
#include "elbo/nn.h"
#include "elbo/program.h"
#include "elbo/training/trainer.h"
