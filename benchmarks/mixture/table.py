#!/usr/bin/python3
"""EM of a Gaussian mixture beside scikit-learn's: n = 100 000, d = 20, K = 20, full covariances, float64, 20
iterations from the same start, by turns. ms an iteration and the log likelihood a row before the last; then one
iteration over a stream of rows, with the peak memory.

table.py BUILD [--rounds 3] [--stream 10000000]
Writes results/mixture.tsv."""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import textwrap

import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("build")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--stream", type=int, default=10_000_000)
args = parser.parse_args()

ROWS, DIM, K = 100_000, 20, 20
rng = np.random.default_rng(0)
centres = rng.normal(size=(K, DIM)) * 2
spread = rng.normal(size=(K, DIM, DIM)) * 0.3 + np.eye(DIM)
label = rng.integers(K, size=ROWS)
x = centres[label] + np.einsum("nij,nj->ni", spread[label], rng.normal(size=(ROWS, DIM)))

PEER = textwrap.dedent("""
    import sys, time, warnings
    import numpy as np
    from sklearn.mixture import GaussianMixture
    warnings.simplefilter("ignore")
    x, k = np.load(sys.argv[1]), int(sys.argv[2])
    m = GaussianMixture(k, tol=0.0, reg_covar=0.0, max_iter=1, random_state=0, weights_init=np.full(k, 1 / k),
                        means_init=x[:k].copy(), precisions_init=np.tile(np.eye(x.shape[1]), (k, 1, 1)))
    m._initialize_parameters(x, np.random.RandomState(0))
    times = []
    for _ in range(20):
        start = time.perf_counter()
        mean_log, resp = m._e_step(x)
        m._m_step(x, resp)
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    print("%.2f\\t%.2f\\t%.2f\\t%.9f" % (times[len(times) // 2], times[0], times[-1], mean_log))
""")


def run(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in out.split()]


bench = os.path.join(args.build, "elbo_bench_mixture")
lines = [f"# table.py --rounds {args.rounds} --stream {args.stream}",
         "program\tthreads\tmedian_ms\tleast_ms\tmost_ms\tlog_likelihood"]
best = {}
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x.npy")
    np.save(path, x)
    for threads in "1", "2":
        programs = {"elbo": [bench, threads, path, str(K), "1"],
                    "scikit-learn": [sys.executable, "-c", PEER, path, str(K)]}
        found = {name: [] for name in programs}
        for _ in range(args.rounds):
            for name, command in programs.items():
                found[name].append(run(command, threads))
        for name, rounds in found.items():
            medians, least, most, likelihood = zip(*rounds)
            median = statistics.median(medians)
            best[name] = min(median, best.get(name, median))
            lines.append(f"{name}\t{threads}\t{median:.2f}\t{min(least):.2f}\t{max(most):.2f}\t{likelihood[0]:.9f}")
            print(lines[-1], flush=True)
lines.append(f"# scikit-learn's best over elbo's best: {best['scikit-learn'] / best['elbo']:.2f}")
if args.stream:
    seconds, memory, likelihood = run([bench, "2", "stream", str(args.stream)], "2")
    lines += ["stream_rows\tthreads\tseconds\tpeak_mib\tlog_likelihood",
              f"{args.stream}\t2\t{seconds:.1f}\t{memory:.0f}\t{likelihood:.6f}"]
results = pathlib.Path(__file__).with_name("results")
results.mkdir(exist_ok=True)
(results / "mixture.tsv").write_text("\n".join(lines) + "\n")
print("\n".join(lines))
