// The trace and its handlers.
#pragma once

#include "elbo/program/dream.h"
#include "elbo/program/enumeration.h"
#include "elbo/program/handlers.h"
#include "elbo/program/m_step.h"
#include "elbo/program/trace.h"
