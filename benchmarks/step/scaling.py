#!/usr/bin/env python3
"""Whether cost grows with the samples seen and not with the rows there are: W1's model trained for the same
number of samples on files of 1e4 to 1e7 rows of uint8 (MNIST's rows, repeated, each time with other
low bits), a run of each size in turn and back, with the time a sample and the largest resident memory.

    ELBO_DATA=... scaling.py BUILD_DIR [--rows 10000,100000,1000000,10000000] [--samples 600000]
                  [--runs 9] [--threads 1] [--dir DIR]

Early samples of a large file take longer: each touches pages that the process has not seen yet.

The files take 784 bytes a row in --dir (1e7: 7.8 GB), are made if they are not there and stay. Writes
results/scaling.tsv: the median of the runs, that of the ratios to the first size's run beside each with its
95 % bootstrap interval (the machine's speed changes more from run to run than between sizes), and beside the
memory the project's formula for it: a bare libtorch process, the rows as stored, 4 x the parameters' bytes,
3 x a batch's activations, 40 MB.
"""
import argparse
import gzip
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile

import numpy as np

WIDTH = 784
PARAMETERS = 784 * 500 + 500 + 2 * (500 * 20 + 20) + 20 * 500 + 500 + 500 * 784 + 784
ACTIVATIONS = 100 * (784 + 500 + 3 * 20 + 500 + 784)  # of a batch of 100
MB = 1e6


def mnist(name):
    path = pathlib.Path(os.environ["ELBO_DATA"]) / "mnist" / (name + ".gz")
    raw = gzip.decompress(path.read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, WIDTH)


def make(path, rows, images):
    """In pieces: no file has to fit into memory."""
    if path.exists():
        return
    partial = path.with_suffix(".partial")
    out = np.lib.format.open_memmap(partial, "w+", np.uint8, (rows, WIDTH))
    for piece, begin in enumerate(range(0, rows, len(images))):
        end = min(begin + len(images), rows)
        out[begin:end] = images[:end - begin] ^ np.uint8(piece % 4)
    out.flush()
    partial.rename(path)


def child(command, text=""):
    """Runs it; its largest resident memory in bytes."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    process.stdin.write(text.encode())
    process.stdin.close()
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command}: {errors.decode()}")
    return usage.ru_maxrss * 1024


def train(elbo, file, test, a):
    out = pathlib.Path(tempfile.mkdtemp(dir=a.dir)) / "run"
    resident = child([elbo, "train", file, "--test", test, "--out", out, "--likelihood", "bernoulli",
                      "--samples", str(a.samples), "--threads", str(a.threads)])
    last = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    shutil.rmtree(out.parent)
    return 1e6 * last["seconds"] / last["samples"], resident


def interval(values):
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[1949]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rows", default="10000,100000,1000000,10000000")
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "elbo-scaling")
    a = parser.parse_args()
    a.dir.mkdir(parents=True, exist_ok=True)
    elbo = a.build / "elbo"
    sizes = [int(n) for n in a.rows.split(",")]
    images = mnist("train-images-idx3-ubyte")
    test = a.dir / "test.npy"
    make(test, 1000, mnist("t10k-images-idx3-ubyte"))
    for rows in sizes:  # by others: what is resident here when a child starts would count as its own
        maker = multiprocessing.Process(target=make, args=(a.dir / f"{rows}.npy", rows, images))
        maker.start()
        maker.join()
        if maker.exitcode:
            raise SystemExit(maker.exitcode)
    bare = child([a.build / "elbo_bench_laws"], f"Normal rsample {a.threads} 1000 0 1 0 1\n")

    seen = {rows: [] for rows in sizes}
    for run in range(a.runs):
        for rows in sizes if run % 2 == 0 else reversed(sizes):
            seen[rows].append(train(elbo, a.dir / f"{rows}.npy", test, a))
    lines = ["rows\tus_a_sample\tmin\tmax\tratio_to_first\tlow\thigh\tresident_mb\tformula_mb"]
    first = [us for us, _ in seen[sizes[0]]]
    for rows in sizes:
        times = [us for us, _ in seen[rows]]
        ratios = [us / beside for us, beside in zip(times, first)]
        low, high = interval(ratios)
        formula = bare + rows * WIDTH + 4 * 4 * PARAMETERS + 3 * 4 * ACTIVATIONS + 40 * MB
        lines.append(f"{rows}\t{statistics.median(times):.2f}\t{min(times):.2f}\t{max(times):.2f}\t"
                     f"{statistics.median(ratios):.3f}\t{low:.3f}\t{high:.3f}\t"
                     f"{statistics.median(r for _, r in seen[rows]) / MB:.0f}\t{formula / MB:.0f}")
        print(lines[-1], flush=True)
    head = (f"# scaling.py --samples {a.samples} --runs {a.runs} --threads {a.threads}; "
            f"bare libtorch {bare / MB:.0f} MB\n")
    out = pathlib.Path(__file__).resolve().parent / "results" / "scaling.tsv"
    out.write_text(head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
