#!/usr/bin/env python3
"""A VAE by AEVB in plain PyTorch, from the files of elbo_peer_inputs.

Shares no code with elbo: torch.nn layers, torch.optim updates, its own likelihoods and KL. Prints
one JSON line an epoch; with --updates K it stops there and writes end/<parameter>.npy instead.
With --same-rounding its formulas are written in elbo's order of operations, so that the two agree
bit by bit; otherwise Adagrad's growth of rounding parts them in some hundred updates.
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
            return self.bernoulli(x, out[0]).sum(-1)
        mu = torch.sigmoid(out[0]) if self.likelihood == "gaussian-sigmoid" else out[0]
        log_var = torch.zeros_like(mu) if len(out) == 1 else out[1]
        if len(out) == 2 and self.log_var_floor is not None:
            log_var = self.soft_floor(log_var)
        return self.gaussian(x, mu, log_var).sum(-1)

    def bound(self, x, noise):
        """SGVB-B with one sample (AEVB eq 7), a row."""
        z, kl = self.posterior(*self.encoder(x), noise)
        return self.log_likelihood(x, z) - kl.sum(-1)

    def bernoulli(self, x, logits):
        return -F.binary_cross_entropy_with_logits(logits, x, reduction="none")

    def soft_floor(self, log_var):
        return torch.logaddexp(log_var, torch.full_like(log_var, self.log_var_floor))

    def gaussian(self, x, mu, log_var):
        return -0.5 * (math.log(2 * math.pi) + log_var + (x - mu) ** 2 * torch.exp(-log_var))

    def posterior(self, mu, log_var, noise):
        return (mu + torch.exp(0.5 * log_var) * noise,
                -0.5 * (1 + log_var - mu ** 2 - torch.exp(log_var)))


class SameRoundingVae(Vae):
    def bernoulli(self, x, logits):
        return x * logits + F.logsigmoid(-logits)

    def soft_floor(self, log_var):
        return self.log_var_floor - F.logsigmoid(self.log_var_floor - log_var)

    def gaussian(self, x, mu, log_var):
        log_sigma = 0.5 * log_var
        return (-0.5 * ((x - mu) / log_sigma.exp()).square() - log_sigma
                - 0.5 * math.log(2 * math.pi))

    def posterior(self, mu, log_var, noise):
        log_sigma = 0.5 * log_var
        sigma = log_sigma.exp()
        return (torch.addcmul(mu, sigma, noise),
                0.5 * (sigma.square() + mu.square() - 1) - log_sigma)


class SameRoundingAdagrad:
    def __init__(self, parameters, lr, weight_decay, gradient_scale):
        self.parameters = list(parameters)
        self.sums = [torch.zeros_like(p) for p in self.parameters]
        self.decay, self.scale = weight_decay, gradient_scale
        self.param_groups = [{"lr": lr}]

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p, total in zip(self.parameters, self.sums):
            g = self.scale * -p.grad - self.decay * p
            total += g * g
            p += self.param_groups[0]["lr"] * g / (total.sqrt() + 1e-10)


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


def make_optimizer(s, parameters, total, same_rounding):
    # The Gaussian log prior's gradient, on the scale of the objective, is weight decay.
    decay = s["weight_prior"] * (1 if s["full_data_objective"] else 1 / total)
    if same_rounding:
        if s["optimizer"] != "adagrad":
            raise SystemExit("aevb_peer: --same-rounding is here for adagrad only")
        return SameRoundingAdagrad(parameters, s["lr"], decay,
                                   total if s["full_data_objective"] else 1)
    kinds = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad, "adam": torch.optim.Adam}
    return kinds[s["optimizer"]](parameters, lr=s["lr"], weight_decay=decay)


def test_bound(vae, inputs):
    total = 0.0
    with torch.no_grad():
        for rows, noise in zip(inputs.test.split(500), inputs.test_noise.split(500)):
            total += vae.bound(inputs.values(rows), noise).double().sum().item()
    return total / len(inputs.test)


def train(vae, inputs, updates, same_rounding):
    s, total = inputs.settings, len(inputs.train)
    optimizer = make_optimizer(s, vae.parameters(), total, same_rounding)
    steps_per_epoch = -(-total // s["batch"])
    all_steps = steps_per_epoch * s["schedule_epochs"]
    # elbo scales the gradient rather than the objective
    scale = total if s["full_data_objective"] and not same_rounding else 1
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
    parser.add_argument("--same-rounding", action="store_true",
                        help="elbo's order of operations, for comparisons bit by bit")
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    inputs = Inputs(a.inputs)
    if a.precision and a.precision != inputs.settings["precision"]:
        raise SystemExit(f"aevb_peer: the inputs are {inputs.settings['precision']}")
    if a.updates > inputs.settings["steps"]:
        raise SystemExit(f"aevb_peer: the inputs hold {inputs.settings['steps']} updates")
    # elbo flushes denormals
    torch.set_flush_denormal(a.same_rounding)
    kind = SameRoundingVae if a.same_rounding else Vae
    vae = kind(inputs.settings["model"]).to(inputs.dtype)
    vae.load_state_dict(inputs.start)  # strict: every name and shape must match
    train(vae, inputs, a.updates, a.same_rounding)
    if a.updates:
        (a.inputs / "end").mkdir(exist_ok=True)
        for name, parameter in vae.named_parameters():
            np.save(a.inputs / "end" / f"{name}.npy", parameter.detach().numpy())


if __name__ == "__main__":
    main()
