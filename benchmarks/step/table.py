#!/usr/bin/env python3
"""One table of training steps: elbo, the matrix products' limit and the floor that memory sets
(step.cpp), and PyTorch as installed and as tuned as its settings go (peer.py). The peers' ratios
are to the limit of the same workload, type and threads.

    table.py BUILD_DIR [--workloads w1,w2,w3,w5] [--threads 1,2] [--pairs 40]

Writes results/step.tsv. PyTorch is tuned by one OpenMP BLAS (libblis4-openmp or libopenblas0-openmp,
if installed), an allocator that keeps its pages, fused optimisers and flushed denormals.
"""
import argparse
import glob
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
KEEP_PAGES = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "4294967295",
              "MALLOC_TOP_PAD_": "268435456"}


def blas_folders():
    """The BLAS libraries that share OpenMP's threads, by name."""
    found = {}
    for name in ("blis-openmp", "openblas-openmp"):
        for folder in glob.glob(f"/usr/lib/*/{name}"):
            found[name] = folder
    return found


def peer(workload, threads, environment, *options):
    env = dict(os.environ, **environment)
    command = [sys.executable, HERE / "peer.py", workload, "--threads", str(threads), *options]
    out = subprocess.run(command, env=env, capture_output=True, text=True)
    if out.returncode:
        print(f"{workload}: {' '.join(options)}: {out.stderr.strip().splitlines()[-1:]}",
              file=sys.stderr)
        return None
    return out.stdout.strip().split("\t")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--workloads", default="w1,w2,w3,w5")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--pairs", type=int, default=40)
    a = parser.parse_args()
    head = "workload\tprogram\tthreads\tms\tmin\tmax\tlimit_ms\tratio\tlow\thigh"
    lines = [head]
    print(head)

    def add(cells):
        lines.append("\t".join(cells))
        print(lines[-1], flush=True)

    for workload in a.workloads.split(","):
        for threads in a.threads.split(","):
            limits = {}
            for flags in (["--floor"], ["--floor", "--bfloat16"], [], ["--optimizer", "adagrad"], ["--bfloat16"]):
                command = [a.build / "elbo_bench_step", workload, "--threads", threads,
                           "--pairs", str(a.pairs), *flags]
                out = subprocess.run(command, capture_output=True, text=True)
                if out.returncode:
                    print(f"{workload}: {' '.join(flags)}: {out.stderr.strip()}", file=sys.stderr)
                    continue
                cells = out.stdout.strip().splitlines()[1].split("\t")
                limits["bfloat16" if "--bfloat16" in flags else "float32"] = float(cells[6])
                add(cells)
            if workload not in ("w1", "w2", "w3"):
                continue
            rows = [peer(workload, threads, {}, "--as-installed",
                         "--label", "PyTorch adam as installed")]
            for name, folder in blas_folders().items():
                environment = dict(KEEP_PAGES, LD_LIBRARY_PATH=folder, OMP_NUM_THREADS=threads)
                settings = [("", ["--foreach"]), (" autocast bfloat16", ["--foreach", "--bfloat16"])]
                if workload != "w2":
                    settings.append((" backward by hand, flat", ["--mode", "hand"]))
                for label, options in settings:
                    rows.append(peer(workload, threads, environment, *options,
                                     "--label", f"PyTorch adam tuned ({name}){label}"))
            for row in filter(None, rows):
                limit = limits.get("bfloat16" if "bfloat16" in row[1] else "float32")
                add(row + ([f"{limit:.3f}", f"{float(row[3]) / limit:.3f}", "", ""] if limit
                           else ["", "", "", ""]))
    out = HERE / "results" / "step.tsv"
    out.parent.mkdir(exist_ok=True)
    out.write_text(f"# table.py --pairs {a.pairs}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
