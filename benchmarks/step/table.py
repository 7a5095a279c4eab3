#!/usr/bin/env python3
"""One table of training steps: elbo, the matrix products' limit and the floor that memory sets
(step.cpp), plain libtorch (peer.cpp), and Python PyTorch (peer.py), as installed and as tuned as
their settings go. The peers' ratios are to the limit of the same workload, type and threads. In
rows that begin with "speedup" the step, or its products, runs on one thread and the limit is the same
on more: the ratio says how many times as fast that is.

    table.py BUILD_DIR [--workloads w1,w2,w3,w5] [--threads 1,2] [--pairs 40]

Writes results/step_avx2.tsv or results/step_avx512.tsv, as the processor is. Peers are tuned by
one OpenMP BLAS (libblis4-openmp or libopenblas0-openmp, if installed), an allocator that keeps its
pages, fused optimisers and flushed denormals.
"""
import argparse
import glob
import os
import pathlib
import re
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


def processor():
    """Its name, and whether it has AVX-512."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    field = lambda name: re.search(rf"^{name}\s*: (.*)", text, re.MULTILINE)[1]
    return f"{field('model name')}, family {field('cpu family')}", "avx512f" in field("flags").split()


def peer(program, workload, threads, environment, *options):
    """A row of a peer; `program` is its command's beginning."""
    env = dict(os.environ, **environment)
    command = [*program, workload, "--threads", str(threads), *options]
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
    a.build = a.build.resolve()
    head = "workload\tprogram\tthreads\tms\tmin\tmax\tlimit_ms\tratio\tlow\thigh"
    lines = [head]
    print(head)

    def add(cells):
        lines.append("\t".join(cells))
        print(lines[-1], flush=True)

    for workload in a.workloads.split(","):
        for threads in a.threads.split(","):
            limits = {}
            flags_of_rows = [["--floor"], ["--floor", "--bfloat16"], [], ["--optimizer", "adagrad"], ["--bfloat16"]]
            if threads != "1":
                flags_of_rows += [["--speedup"], ["--speedup", "--bfloat16"]]
            for flags in flags_of_rows:
                command = [a.build / "elbo_bench_step", workload, "--threads", threads,
                           "--pairs", str(a.pairs), *flags]
                out = subprocess.run(command, capture_output=True, text=True)
                if out.returncode:
                    print(f"{workload}: {' '.join(flags)}: {out.stderr.strip()}", file=sys.stderr)
                    continue
                for line in out.stdout.strip().splitlines()[1:]:
                    cells = line.split("\t")
                    if "--speedup" not in flags:
                        limits["bfloat16" if "--bfloat16" in flags else "float32"] = float(cells[6])
                    add(cells)
            if workload not in ("w1", "w2", "w3"):
                continue
            python, plain = [sys.executable, HERE / "peer.py"], [a.build / "elbo_peer_step"]
            rows = [peer(program, workload, threads, {}, "--as-installed", "--label", f"{name} adam as installed")
                    for name, program in (("libtorch C++", plain), ("PyTorch", python))]
            for name, folder in blas_folders().items():
                environment = dict(KEEP_PAGES, LD_LIBRARY_PATH=folder, OMP_NUM_THREADS=threads)
                rows.append(peer(plain, workload, threads, environment,
                                 "--label", f"libtorch C++ adam tuned ({name})"))
                settings = [("", ["--foreach"])]
                if "bfloat16" in limits:
                    settings.append((" autocast bfloat16", ["--foreach", "--bfloat16"]))
                if workload != "w2":
                    settings.append((" backward by hand, flat", ["--mode", "hand"]))
                for label, options in settings:
                    rows.append(peer(python, workload, threads, environment, *options,
                                     "--label", f"PyTorch adam tuned ({name}){label}"))
            for row in filter(None, rows):
                limit = limits.get("bfloat16" if "bfloat16" in row[1] else "float32")
                add(row + ([f"{limit:.3f}", f"{float(row[3]) / limit:.3f}", "", ""] if limit
                           else ["", "", "", ""]))
    name, avx512 = processor()
    out = HERE / "results" / f"step_{'avx512' if avx512 else 'avx2'}.tsv"
    out.parent.mkdir(exist_ok=True)
    out.write_text(f"# table.py --pairs {a.pairs}; {name}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
