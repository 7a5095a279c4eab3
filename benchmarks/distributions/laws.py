#!/usr/bin/env python3
"""rsample + log_prob + backward of every law beside PyTorch's, float32, all parameters wanting
gradients and no validation: a block of repetitions by elbo and one by PyTorch in turn, the ratio of
the blocks' medians, the median of those ratios and its 95 % interval by bootstrap. Parameters of
laws on the line have N elements each; draws of laws over vectors (of 10) and matrices (10 x 10)
have N in all. Where PyTorch has no rsample both sample.

    laws.py BUILD_DIR [--laws Normal,Gamma] [--threads 2] [--elements 1000000] [--pairs 15]

Laws that PyTorch lacks stand beside the nearest composition of its own. Writes results/laws.tsv.
"""
import argparse
import pathlib
import subprocess
import time

import numpy as np
import torch
import torch.distributions as D
from torch.distributions import transforms as T

U = D.Uniform
# The first repetitions after the other program's turn are not counted: its idle threads still spin
# on the cores, and one's own are just being woken.
UNCOUNTED, COUNTED = 3, 5
V = {"validate_args": False}


class ByInverse:
    """A law PyTorch lacks: a function of uniform draws, its density written out."""

    def __init__(self, icdf, log_prob, *p, has_rsample=True):
        self.icdf, self.density, self.p, self.has_rsample = icdf, log_prob, p, has_rsample

    def rsample(self):
        return self.icdf(torch.rand_like(self.p[0]), *self.p)

    def sample(self):
        with torch.no_grad():
            return self.rsample()

    def log_prob(self, x):
        return self.density(x, *self.p)


def affine(base, loc, scale):
    return D.TransformedDistribution(base, [T.AffineTransform(loc, scale)], **V)


def logistic(loc, scale):
    base = D.TransformedDistribution(U(torch.zeros_like(loc), torch.ones_like(loc), **V),
                                     [T.SigmoidTransform().inv], **V)
    return affine(base, loc, scale)


def discretized_logistic(loc, scale, levels):
    def log_prob(x, loc, scale, levels):
        upper = torch.where(x >= levels - 1, torch.ones(()), torch.sigmoid((x + 0.5 - loc) / scale))
        lower = torch.where(x <= 0, torch.zeros(()), torch.sigmoid((x - 0.5 - loc) / scale))
        return (upper - lower).log()

    def draw(u, loc, scale, levels):
        return torch.minimum((loc + scale * torch.logit(u)).round().clamp_min(0), levels - 1)

    return ByInverse(draw, log_prob, loc, scale, levels, has_rsample=False)


def zero_inflated(gate, total_count, probs):
    law = D.NegativeBinomial(total_count, probs, **V)

    def log_prob(x, gate, *_):
        density = law.log_prob(x)
        return torch.where(x == 0, (gate + (1 - gate) * density.exp()).log(),
                           (1 - gate).log() + density)

    return ByInverse(lambda u, gate, *_: torch.where(u < gate, torch.zeros(()), law.sample()),
                     log_prob, gate, total_count, probs, has_rsample=False)


DIM, RANK = 10, 3


def vectors(n):
    return (torch.arange(1.0, DIM + 1) / DIM).repeat(n // DIM, 1)


def lower():
    return torch.eye(DIM) + 0.1 * torch.ones(DIM, DIM).tril(-1)


def lowers(n):
    return lower().repeat(n // DIM ** 2, 1, 1)


class StudentT:
    """Student's t over vectors: a normal vector over the root of a mean of squares."""

    has_rsample = True

    def __init__(self, df, loc, scale_tril):
        self.df, self.loc, self.scale_tril = df, loc, scale_tril
        self.normal = D.MultivariateNormal(torch.zeros_like(loc), scale_tril=scale_tril, **V)

    def rsample(self):
        z = self.normal.rsample()
        w = D.Chi2(self.df.expand(z.shape[:-1]), **V).rsample() / self.df
        return self.loc + z * w.rsqrt().unsqueeze(-1)

    def log_prob(self, x):
        df, d = self.df, x.shape[-1]
        white = torch.linalg.solve_triangular(self.scale_tril, (x - self.loc).T, upper=False)
        return (torch.lgamma(0.5 * (df + d)) - torch.lgamma(0.5 * df) - 0.5 * d * (np.pi * df).log()
                - self.scale_tril.diagonal().log().sum()
                - 0.5 * (df + d) * torch.log1p(white.square().sum(0) / df))


class Spherical:
    """A uniform direction times the radius of a normal vector."""

    has_rsample = True

    def __init__(self, loc, scale_tril):
        self.loc, self.scale_tril = loc, scale_tril
        self.normal = D.MultivariateNormal(loc, scale_tril=scale_tril, **V)

    def rsample(self):
        z = torch.randn_like(self.loc)
        r = D.Chi2(torch.full(z.shape[:-1], float(DIM)), **V).sample().sqrt()
        y = r.unsqueeze(-1) * z / z.norm(dim=-1, keepdim=True)
        return self.loc + y @ self.scale_tril.T

    def log_prob(self, x):
        return self.normal.log_prob(x)


# Laws over vectors and matrices: (constructor, parameters of N elements, what stands beside).
# laws.cpp has their like.
SHAPED = {
    "Categorical": (lambda p: D.Categorical(p, **V), lambda n: [vectors(n)]),
    "OneHotCategorical": (lambda p: D.OneHotCategorical(p, **V), lambda n: [vectors(n)]),
    "Multinomial": (lambda p: D.Multinomial(20, p, **V), lambda n: [vectors(n)]),
    "Dirichlet": (lambda a: D.Dirichlet(a, **V), lambda n: [vectors(n)]),
    "RelaxedBernoulli": (lambda t, p: D.RelaxedBernoulli(t, p, **V),
                         lambda n: [torch.tensor(0.7), torch.full((n,), 0.3)]),
    "RelaxedOneHotCategorical": (lambda t, p: D.RelaxedOneHotCategorical(t, p, **V),
                                 lambda n: [torch.tensor(0.7), vectors(n)]),
    "MultivariateNormal": (lambda m, s: D.MultivariateNormal(m, scale_tril=s, **V),
                           lambda n: [vectors(n), lower()]),
    "MultivariateNormal/each": (lambda m, s: D.MultivariateNormal(m, scale_tril=s, **V),
                                lambda n: [vectors(n // DIM), lowers(n)]),
    "LowRankMultivariateNormal": (lambda m, w, d: D.LowRankMultivariateNormal(m, w, d, **V),
                                  lambda n: [vectors(n),
                                             torch.full((DIM, RANK), 0.5) + torch.eye(DIM, RANK),
                                             torch.full((DIM,), 0.3)]),
    "MultivariateStudentT": (StudentT, lambda n: [torch.tensor(5.0), vectors(n), lower()],
                             "torch.MultivariateNormal, Chi2"),
    "Elliptical": (Spherical, lambda n: [vectors(n), lower()], "composition"),
    "Wishart": (lambda df, s: D.Wishart(df, scale_tril=s, **V),
                lambda n: [torch.full((n // DIM ** 2,), 12.5), lowers(n)]),
    "LKJCholesky": (lambda c: D.LKJCholesky(DIM, c, **V),
                    lambda n: [torch.full((n // DIM ** 2,), 1.5)]),
    "MixtureSameFamily": (lambda w, m, s: D.MixtureSameFamily(D.Categorical(w, **V),
                                                              D.Normal(m, s, **V), **V),
                          lambda n: [vectors(n), vectors(n), vectors(n)]),
    "Independent": (lambda m, s: D.Independent(D.Normal(m, s, **V), 1, **V),
                    lambda n: [vectors(n), vectors(n)]),
    "TransformedDistribution": (lambda m, s: D.TransformedDistribution(
        D.Normal(m, s, **V), [T.SigmoidTransform()], **V),
        lambda n: [torch.full((n,), 0.5), torch.full((n,), 2.0)]),
}


def make(name):
    """(constructor, parameters, what stands beside the law)"""
    if name in SHAPED:
        constructor, leaves, *beside = SHAPED[name]
        return constructor, leaves, *(beside or ["torch." + name.split("/")[0]])
    t = {
        "Bernoulli": (lambda p: D.Bernoulli(p, **V), [0.3]),
        "Beta": (lambda a, b: D.Beta(a, b, **V), [2.5, 1.5]),
        "Binomial": (lambda n, p: D.Binomial(n, p, **V), [20, 0.3]),
        "Cauchy": (lambda l, s: D.Cauchy(l, s, **V), [0.5, 2]),
        "Chi2": (lambda k: D.Chi2(k, **V), [5]),
        "ContinuousBernoulli": (lambda p: D.ContinuousBernoulli(p, **V), [0.3]),
        "Exponential": (lambda r: D.Exponential(r, **V), [1.5]),
        "FisherSnedecor": (lambda a, b: D.FisherSnedecor(a, b, **V), [5, 8]),
        "Gamma": (lambda a, r: D.Gamma(a, r, **V), [2.5, 1.5]),
        "Geometric": (lambda p: D.Geometric(p, **V), [0.3]),
        "Gumbel": (lambda l, s: D.Gumbel(l, s, **V), [0.5, 2]),
        "HalfCauchy": (lambda s: D.HalfCauchy(s, **V), [2]),
        "HalfNormal": (lambda s: D.HalfNormal(s, **V), [2]),
        "Kumaraswamy": (lambda a, b: D.Kumaraswamy(a, b, **V), [2.5, 1.5]),
        "Laplace": (lambda l, s: D.Laplace(l, s, **V), [0.5, 2]),
        "LogNormal": (lambda l, s: D.LogNormal(l, s, **V), [0.5, 0.7]),
        "NegativeBinomial": (lambda n, p: D.NegativeBinomial(n, p, **V), [5, 0.4]),
        "Normal": (lambda l, s: D.Normal(l, s, **V), [0.5, 2]),
        "Pareto": (lambda s, a: D.Pareto(s, a, **V), [2, 3]),
        "Poisson": (lambda r: D.Poisson(r, **V), [4]),
        "StudentT": (lambda d, l, s: D.StudentT(d, l, s, **V), [5, 0.5, 2]),
        "Uniform": (lambda a, b: D.Uniform(a, b, **V), [-1, 2]),
        "VonMises": (lambda l, k: D.VonMises(l, k, **V), [0.5, 2]),
        "Weibull": (lambda s, k: D.Weibull(s, k, **V), [2, 1.5]),
    }
    if name in t:
        return *t[name], "torch." + name
    t = {
        "Erlang": (lambda k, r: D.Gamma(k, r, **V), [3, 1.5], "torch.Gamma"),
        "InverseGamma": (lambda a, r: D.TransformedDistribution(D.Gamma(a, r, **V),
                                                                 [T.PowerTransform(-torch.ones(()))], **V),
                         [2.5, 1.5], "torch.Gamma, x^-1"),
        "Logistic": (logistic, [0.5, 2], "torch.Uniform, logit, affine"),
        "Gompertz": (lambda a, s: ByInverse(
            lambda u, a, s: s * torch.log1p(-torch.log(u) / a),
            lambda x, a, s: (a / s).log() + x / s - a * torch.expm1(x / s), a, s),
            [0.7, 2], "composition"),
        "Rayleigh": (lambda s: ByInverse(
            lambda u, s: s * (-2 * u.log()).sqrt(),
            lambda x, s: (x / s ** 2).log() - 0.5 * (x / s) ** 2, s), [2], "composition"),
        "Reciprocal": (lambda a, b: ByInverse(
            lambda u, a, b: a * (b / a) ** u,
            lambda x, a, b: -(x * (b / a).log()).log(), a, b), [0.5, 8], "composition"),
        "LogLogistic": (lambda s, k: D.TransformedDistribution(logistic(s.log(), 1 / k),
                                                               [T.ExpTransform()], **V),
                        [2, 3], "torch.Uniform, logit, affine, exp"),
        "DiscretizedLogistic": (discretized_logistic, [4, 2, 10], "composition"),
        "ZeroInflatedNegativeBinomial": (zero_inflated, [0.2, 5, 0.4],
                                         "torch.NegativeBinomial and a gate"),
        "Triangular": (lambda a, c, b: ByInverse(
            lambda u, a, c, b: torch.where(u < (c - a) / (b - a), a + (u * (b - a) * (c - a)).sqrt(),
                                           b - ((1 - u) * (b - a) * (b - c)).sqrt()),
            lambda x, a, c, b: torch.where(x < c, (2 * (x - a) / ((b - a) * (c - a))).log(),
                                           (2 * (b - x) / ((b - a) * (b - c))).log()), a, c, b),
            [-1, 0.5, 2], "composition"),
    }
    return t.get(name)


def leaves_of(values, elements):
    tensors = (values(elements) if callable(values)
               else [torch.full((elements,), float(v)) for v in values])
    return [t.requires_grad_() for t in tensors]


def torch_block(constructor, values, elements):
    times = [torch_once(constructor, values, elements) for _ in range(UNCOUNTED + COUNTED)]
    return np.median(times[UNCOUNTED:])


def torch_once(constructor, values, elements):
    parameters = leaves_of(values, elements)
    begin = time.perf_counter()
    law = constructor(*parameters)
    x = law.rsample() if law.has_rsample else law.sample()
    y = law.log_prob(x).sum()
    if y.requires_grad:
        y.backward()
    return 1e3 * (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--laws", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=15)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    names = a.laws.split(",") if a.laws else sorted(
        {"Bernoulli", "Normal", "Uniform"} | set(SHAPED) | {p.stem for p in (pathlib.Path(__file__).resolve().parents[2] /
                         "tests/distributions/fixtures/laws").glob("*.json")})
    server = subprocess.Popen([a.build / "elbo_bench_laws"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    rng = np.random.default_rng(0)
    lines = ["law\tbeside\telbo_ms\ttorch_ms\tratio\tlow\thigh"]
    for name in names:
        made = make(name)
        if made is None:
            print(f"{name}: nothing to stand beside it")
            continue
        constructor, values, beside = made
        draw = "rsample" if constructor(*leaves_of(values, 1000)).has_rsample else "sample"
        request = (f"{name} {draw} {a.threads} {a.elements} {UNCOUNTED} {COUNTED} "
                   f"{'' if callable(values) else ' '.join(map(str, values))}\n")

        def elbo_block():
            server.stdin.write(request)
            server.stdin.flush()
            return np.median([float(ms) for ms in server.stdout.readline().split()])

        pairs = np.array([(elbo_block(), torch_block(constructor, values, a.elements))
                          for _ in range(a.pairs)])
        ratios = pairs[:, 0] / pairs[:, 1]
        medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
        low, high = np.quantile(medians, [0.025, 0.975])
        lines.append(f"{name}\t{beside}\t{np.median(pairs[:, 0]):.2f}\t{np.median(pairs[:, 1]):.2f}\t"
                     f"{np.median(ratios):.3f}\t{low:.3f}\t{high:.3f}")
        print(lines[-1], flush=True)
    out = pathlib.Path(__file__).resolve().parent / "results" / "laws.tsv"
    head = f"# laws.py --threads {a.threads} --elements {a.elements} --pairs {a.pairs}; torch {torch.__version__}\n"
    if not a.laws:
        out.write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
