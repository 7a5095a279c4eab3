#!/usr/bin/env python3
"""paired_bounds.py OUT.tsv PEER DIR...: the last test bounds of DIR/run (elbo) and of DIR/PEER, one
line a DIR (named seedN), and their paired mean difference."""
import json
import pathlib
import statistics
import sys


def last(path):
    return json.loads(path.read_text().strip().splitlines()[-1])


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    rows = []
    for folder in map(pathlib.Path, sys.argv[3:]):
        ours, peer = last(folder / "run/metrics.jsonl"), last(folder / sys.argv[2])
        if ours["epoch"] != peer["epoch"]:
            raise SystemExit(f"{folder}: epoch {ours['epoch']} against {peer['epoch']}")
        rows.append((folder.name.removeprefix("seed"), ours["test_elbo"], peer["test_elbo"],
                     ours["test_elbo"] - peer["test_elbo"], ours["seconds"], peer["seconds"]))
    out = pathlib.Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    head = "seed\telbo_test_bound\tpeer_test_bound\tdifference\telbo_seconds\tpeer_seconds\n"
    out.write_text(head + "".join("%s\t%.4f\t%.4f\t%.4f\t%.1f\t%.1f\n" % row for row in rows))
    print(out.read_text(), end="")
    differences = [row[3] for row in rows]
    mean = statistics.fmean(differences)
    bound = statistics.fmean(row[2] for row in rows)
    error = f", standard error {statistics.stdev(differences) / len(rows) ** 0.5:.4f}" \
        if len(rows) > 1 else ""
    print(f"paired mean difference {mean:.4f} nats ({100 * mean / abs(bound):.3f} %){error}")


if __name__ == "__main__":
    main()
