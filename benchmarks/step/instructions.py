#!/usr/bin/env python3
"""Instructions of a training step outside of its matrix products, counted by callgrind: unlike times they repeat
exactly. One thread, the programs run at every step and the plan of a step replayed.

    instructions.py BUILD_DIR [--workloads w1,w2,w5] [--steps 5]

Counts what lies within so many steps, after start-up and a plan's recording. Writes results/instructions.tsv, thousands
of instructions a step. Valgrind knows no AVX-512: these are AVX2's.
"""
import argparse
import os
import pathlib
import re
import subprocess
import tempfile

PRODUCT = "elbo::detail::product("
PARTS = {"optimiser": "elbo::Adam::step(", "rows gathered": "elbo::data::BatchSource::gather(",
         "programs": "elbo::detail::TracePair::TracePair(", "backward": "elbo::FlatParameters::backward(",
         "replay": "elbo::Plan::replay("}


# A library that libtorch loads measures its clock at start, by an instruction that Valgrind may not know.
CLOCK = "namespace hwy { namespace platform { unsigned long TimerResolution() { return 1; } } }"


def counts(build, workload, steps, *options):
    """Instructions of all steps, of the products, and of each part, those it calls included."""
    with tempfile.TemporaryDirectory() as folder:
        out, clock = pathlib.Path(folder) / "callgrind.out", pathlib.Path(folder) / "clock.so"
        subprocess.run(["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", clock], input=CLOCK.encode(), check=True)
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
                        "--collect-atstart=no", "--toggle-collect=*counted_step*",
                        build / "elbo_bench_step", workload, "--threads", "1", "--steps", str(steps), *options],
                       check=True, capture_output=True, env=dict(os.environ, LD_PRELOAD=clock))
        text = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", out], check=True,
                              capture_output=True, text=True).stdout
    number = lambda line: int(re.match(r"\s*([\d,]+)", line)[1].replace(",", ""))
    lines = text.splitlines()
    found = {"all": number(next(line for line in lines if "PROGRAM TOTALS" in line))}
    for name, function in {"products": PRODUCT, **PARTS}.items():
        found[name] = next((number(line) for line in lines if function in line), 0)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--workloads", default="w1,w2,w5")
    parser.add_argument("--steps", type=int, default=5)
    a = parser.parse_args()
    lines = ["workload\tstep\toutside products\t" + "\t".join(PARTS)]
    print(lines[0])
    for workload in a.workloads.split(","):
        for name, options in (("programs", ["--unplanned"]), ("plan", [])):
            each = {k: n / a.steps / 1000 for k, n in counts(a.build, workload, a.steps, *options).items()}
            cells = [each["all"] - each["products"]] + [each[k] for k in PARTS]
            lines.append("\t".join([workload, name] + [f"{c:.1f}" for c in cells]))
            print(lines[-1], flush=True)
    out = pathlib.Path(__file__).resolve().parent / "results" / "instructions.tsv"
    out.write_text(f"# instructions.py --steps {a.steps}: thousands a step; parts include what they call, "
                   "products too\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
