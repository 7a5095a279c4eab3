#!/usr/bin/python3
"""EM of a Gaussian mixture beside scikit-learn's: n = 100 000, d = 20, K = 20, full covariances, float64, 20
iterations from the same start. ms an iteration, median (least - most), and the log likelihood a row before the last.

table.py BUILD [REPEATS]"""
import os
import subprocess
import sys
import tempfile
import textwrap

import numpy as np

build, repeats = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "3"
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
    times = []
    for _ in range(int(sys.argv[3])):
        m = GaussianMixture(k, tol=0.0, reg_covar=0.0, max_iter=1, random_state=0, weights_init=np.full(k, 1 / k),
                            means_init=x[:k].copy(), precisions_init=np.tile(np.eye(x.shape[1]), (k, 1, 1)))
        m._initialize_parameters(x, np.random.RandomState(0))
        for _ in range(20):
            start = time.perf_counter()
            mean_log, resp = m._e_step(x)
            m._m_step(x, resp)
            times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    print("%.2f\\t%.2f\\t%.2f\\t%.6f" % (times[len(times) // 2], times[0], times[-1], mean_log))
""")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "x.npy")
    np.save(path, x)
    print("program\tthreads\tmedian\tleast\tmost\tlog likelihood")
    for threads in "1", "2":
        environment = dict(os.environ, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
        for name, command in (("elbo", [os.path.join(build, "elbo_bench_mixture"), threads, path, str(K), repeats]),
                              ("scikit-learn", [sys.executable, "-c", PEER, path, str(K), repeats])):
            out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()
            print(name, threads, out, sep="\t", flush=True)
