#!/usr/bin/env python3
"""A VAE by AEVB in plain PyTorch, from the files of elbo_peer_inputs.

Shares no code with elbo: torch.nn layers, torch.optim updates, its own likelihoods and KL. Prints
one JSON line an epoch; with --updates K it stops there and writes end/<parameter>.npy instead.
"""
import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "softplus": F.softplus,
               "sigmoid": torch.sigmoid, "identity": lambda x: x}


class Network(nn.Module):
    """Hidden layers, then one linear layer for each of `heads`."""

    def __init__(self, sizes, out, heads, activation):
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.head = nn.ModuleDict({name: nn.Linear(sizes[-1], out) for name in heads})
        self.activation = ACTIVATIONS[activation]

    def forward(self, x):
        for layer in self.hidden:
            x = self.activation(layer(x))
        return [head(x) for head in self.head.values()]


class Vae(nn.Module):
    def __init__(self, config):
        super().__init__()
        if config["encoder"] != "gaussian":
            raise SystemExit("aevb_peer: only the gaussian encoder is here")
        self.likelihood = config["likelihood"]
        self.log_var_floor = 2 * math.log(config["sigma_min"]) if config["sigma_min"] > 0 else None
        data, latent, hidden = config["data_dim"], config["latent"], config["hidden"]
        heads = {"bernoulli": ["logits"], "gaussian-unit": ["mu"]}
        self.encoder = Network([data, *hidden], latent, ["mu", "log_var"], config["activation"])
        self.decoder = Network([latent, *hidden[::-1]], data,
                               heads.get(self.likelihood, ["mu", "log_var"]),
                               config["activation"])

    def log_likelihood(self, x, z):
        out = self.decoder(z)
        if self.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(out[0], x, reduction="none").sum(-1)
        mu = torch.sigmoid(out[0]) if self.likelihood == "gaussian-sigmoid" else out[0]
        log_var = torch.zeros_like(mu) if len(out) == 1 else out[1]
        if len(out) == 2 and self.log_var_floor is not None:  # var >= floor, smoothly
            log_var = torch.logaddexp(log_var, torch.full_like(log_var, self.log_var_floor))
        density = math.log(2 * math.pi) + log_var + (x - mu) ** 2 * torch.exp(-log_var)
        return -0.5 * density.sum(-1)

    def bound(self, x, noise):
        """SGVB-B with one sample (AEVB eq 7), a row."""
        mu, log_var = self.encoder(x)
        z = mu + torch.exp(0.5 * log_var) * noise
        kl = -0.5 * (1 + log_var - mu ** 2 - torch.exp(log_var)).sum(-1)
        return self.log_likelihood(x, z) - kl


class Inputs:
    def __init__(self, folder):
        self.settings = json.loads((folder / "peer.json").read_text())
        self.dtype = getattr(torch, self.settings["precision"])
        self.train, self.test = self.read(folder / "train.npy"), self.read(folder / "test.npy")
        self.order = self.read(folder / "order.npy")
        self.noise = self.read(folder / "noise.npy")
        self.test_noise = self.read(folder / "test_noise.npy")
        self.start = {p.name[:-len(".npy")]: self.read(p) for p in folder.glob("start/*.npy")}

    @staticmethod
    def read(path):
        return torch.from_numpy(np.load(path))

    def values(self, rows):
        return rows.to(self.dtype) * self.settings["scale"]


def make_optimizer(s, parameters, total):
    # The Gaussian log prior's gradient, on the scale of the objective, is weight decay.
    decay = s["weight_prior"] * (1 if s["full_data_objective"] else 1 / total)
    kinds = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}
    return kinds[s["optimizer"]](parameters, lr=s["lr"], weight_decay=decay)


def test_bound(vae, inputs):
    total = 0.0
    with torch.no_grad():
        for rows, noise in zip(inputs.test.split(500), inputs.test_noise.split(500)):
            total += vae.bound(inputs.values(rows), noise).double().sum().item()
    return total / len(inputs.test)


def train(vae, inputs, updates):
    s, total = inputs.settings, len(inputs.train)
    optimizer = make_optimizer(s, vae.parameters(), total)
    steps_per_epoch = -(-total // s["batch"])
    all_steps = steps_per_epoch * s["schedule_epochs"]
    scale = total if s["full_data_objective"] else 1
    first, seconds, train_sum = 0, 0.0, 0.0
    for step in range(min(s["steps"], updates or s["steps"])):
        begin = time.perf_counter()
        if s["lr_schedule"] == "cosine":
            for group in optimizer.param_groups:
                group["lr"] = 0.5 * s["lr"] * (1 + math.cos(math.pi * step / all_steps))
        in_epoch = step % steps_per_epoch
        last = first + min(s["batch"], total - in_epoch * s["batch"])
        bound = vae.bound(inputs.values(inputs.train[inputs.order[first:last]]),
                          inputs.noise[first:last])
        optimizer.zero_grad()
        (-scale * bound.mean()).backward()
        optimizer.step()
        train_sum += bound.detach().double().sum().item()
        first = last
        seconds += time.perf_counter() - begin
        if in_epoch + 1 == steps_per_epoch and not updates:
            print(json.dumps({"epoch": (step + 1) // steps_per_epoch, "step": step + 1,
                              "seconds": seconds, "train_elbo": train_sum / total,
                              "test_elbo": test_bound(vae, inputs)}), flush=True)
            train_sum = 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=pathlib.Path, help="folder that elbo_peer_inputs filled")
    parser.add_argument("--updates", type=int, default=0, help="stop there and write the weights")
    parser.add_argument("--precision", choices=["float32", "float64"], help="expected of the run")
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    inputs = Inputs(a.inputs)
    if a.precision and a.precision != inputs.settings["precision"]:
        raise SystemExit(f"aevb_peer: the inputs are {inputs.settings['precision']}")
    if a.updates > inputs.settings["steps"]:
        raise SystemExit(f"aevb_peer: the inputs hold {inputs.settings['steps']} updates")
    vae = Vae(inputs.settings["model"]).to(inputs.dtype)
    vae.load_state_dict(inputs.start)  # strict: every name and shape must match
    train(vae, inputs, a.updates)
    if a.updates:
        (a.inputs / "end").mkdir(exist_ok=True)
        for name, parameter in vae.named_parameters():
            np.save(a.inputs / "end" / f"{name}.npy", parameter.detach().numpy())


if __name__ == "__main__":
    main()
