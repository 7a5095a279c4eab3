#!/usr/bin/env python3
"""compare_weights.py RUN/weights.safetensors PEER_DIR: the norm of the difference over the norm of
the weights for every tensor, and how far each has moved from its start; exit 1 above 1e-9."""
import json
import pathlib
import sys

import numpy as np

LIMIT = 1e-9


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    data = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:data])
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "F64": "<f8"}
    return {name: np.frombuffer(raw[data + t["data_offsets"][0]:data + t["data_offsets"][1]],
                                types[t["dtype"]]).reshape(t["shape"])
            for name, t in header.items() if t["dtype"] in types}


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    ours, folder = read_safetensors(sys.argv[1]), pathlib.Path(sys.argv[2])
    theirs = {p.name[:-len(".npy")]: np.load(p) for p in sorted((folder / "end").glob("*.npy"))}
    if not theirs or set(ours) != set(theirs):
        raise SystemExit(f"compare_weights: different tensors: {sorted(set(ours) ^ set(theirs))}")
    worst = 0.0
    for name, w in theirs.items():
        if ours[name].shape != w.shape:
            raise SystemExit(f"compare_weights: {name}: {ours[name].shape} against {w.shape}")
        norm = np.linalg.norm(w)
        delta = np.linalg.norm(ours[name] - w) / norm
        moved = np.linalg.norm(w - np.load(folder / "start" / f"{name}.npy")) / norm
        print(f"{name:32s} difference {delta:.2e}   moved {moved:.2f}")
        worst = delta if not delta <= worst else worst  # a NaN stays
    print(f"{'largest':32s} difference {worst:.2e}   limit {LIMIT:.0e}")
    sys.exit(0 if worst <= LIMIT else 1)


if __name__ == "__main__":
    main()
