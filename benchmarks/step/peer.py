#!/usr/bin/env python3
"""A training step in Python PyTorch, of the workloads of step.cpp: ms a step (median, least, largest
of groups). What a careful user does is an option each, so that the best of them can be found.

    peer.py w1|w2|w3 [--threads 2] [--optimizer adam|adagrad] [--mode eager|compile|hand] [--foreach]
            [--bfloat16] [--as-installed] [--device cuda]

Prints a line: workload, program, threads, ms, min, max.
"""
import argparse
import math
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

SHAPES = {  # data, hidden, latent, rows, importance samples, steps a group
    "w1": (784, [500], 20, 100, 1, 40),
    "w2": (784, [200, 200], 50, 20, 50, 15),
    "w3": (784, [2000], 50, 1000, 1, 2),
}


def mlp(widths):
    layers = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers)


class Vae(nn.Module):
    """Tanh layers, Bernoulli logits; the KL in closed form, or k importance samples."""

    def __init__(self, data, hidden, latent, k):
        super().__init__()
        self.k = k
        self.encoder = mlp([data] + hidden)
        self.mu, self.log_var = nn.Linear(hidden[-1], latent), nn.Linear(hidden[-1], latent)
        self.decoder = mlp([latent] + hidden[::-1])
        self.out = nn.Linear(hidden[0], data)

    def forward(self, x):
        h = self.encoder(x)
        mu, log_var = self.mu(h), self.log_var(h)
        eps = torch.randn(*([self.k] if self.k > 1 else []), *mu.shape, device=mu.device)
        z = mu + torch.exp(0.5 * log_var) * eps
        logits = self.out(self.decoder(z))
        if self.k == 1:
            reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            kl = -0.5 * torch.sum(1 + log_var - mu * mu - log_var.exp())
            return (reconstruction + kl) / x.shape[0]
        log_px = (x * logits - F.softplus(logits)).sum(-1)
        # the terms of log(2 pi) of log p(z) and log q(z|x) cancel
        log_w = log_px + 0.5 * (eps * eps + log_var - z * z).sum(-1)
        return (math.log(self.k) - torch.logsumexp(log_w, 0)).mean()


class Hand:
    """One hidden layer with its backward pass written out, in buffers made beforehand."""

    def __init__(self, net, rows):
        self.parameters = [p for layer in (net.encoder[0], net.mu, net.log_var, net.decoder[0],
                                           net.out) for p in (layer.weight, layer.bias)]
        weight = net.encoder[0].weight
        hidden, data = weight.shape
        self.h, self.g, self.dh, self.dg = (weight.new_empty(rows, hidden) for _ in range(4))
        self.logits, self.d_logits = weight.new_empty(rows, data), weight.new_empty(rows, data)
        self.rows = rows

    @torch.no_grad()
    def __call__(self, x):
        m = self.rows
        w1, b1, wm, bm, wv, bv, w3, b3, w4, b4 = self.parameters
        grads = [p.grad for p in self.parameters]

        def layer(i, d, inputs):
            torch.mm(d.t(), inputs, out=grads[i])
            torch.sum(d, 0, out=grads[i + 1])

        torch.addmm(b1, x, w1.t(), out=self.h).tanh_()
        mu, log_var = torch.addmm(bm, self.h, wm.t()), torch.addmm(bv, self.h, wv.t())
        sigma = torch.exp(0.5 * log_var)
        eps = torch.randn_like(mu)
        z = torch.addcmul(mu, sigma, eps)
        torch.addmm(b3, z, w3.t(), out=self.g).tanh_()
        logits = torch.addmm(b4, self.g, w4.t(), out=self.logits)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        variance = sigma * sigma
        kl = 0.5 * (mu * mu + variance - log_var - 1).sum()
        d = torch.sigmoid(logits, out=self.d_logits).sub_(x).mul_(1 / m)
        layer(8, d, self.g)
        dg = torch.ops.aten.tanh_backward(torch.mm(d, w4, out=self.dg), self.g)
        layer(6, dg, z)
        dz = torch.mm(dg, w3)
        d_mu = torch.add(dz, mu, alpha=1 / m)
        d_log_var = torch.addcmul((variance - 1) * (0.5 / m), dz * eps, sigma, value=0.5)
        layer(2, d_mu, self.h)
        layer(4, d_log_var, self.h)
        dh = torch.mm(d_mu, wm, out=self.dh).addmm_(d_log_var, wv)
        layer(0, torch.ops.aten.tanh_backward(dh, self.h), x)
        return (reconstruction + kl) / m


def flattened(parameters):
    flat = nn.Parameter(torch.cat([p.detach().flatten() for p in parameters]))
    flat.grad = torch.zeros_like(flat)
    begin = 0
    for p in parameters:
        end = begin + p.numel()
        p.data, p.grad = flat.data[begin:end].view_as(p), flat.grad[begin:end].view_as(p)
        begin = end
    return flat


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("workload", choices=sorted(SHAPES))
    parser.add_argument("--threads", type=int, default=0, help="0: as installed")
    parser.add_argument("--optimizer", default="adam", choices=["adam", "adagrad"])
    parser.add_argument("--mode", default="eager", choices=["eager", "compile", "hand"],
                        help="compile: of PyTorch 2")
    parser.add_argument("--foreach", action="store_true")
    parser.add_argument("--bfloat16", action="store_true", help="autocast")
    parser.add_argument("--as-installed", action="store_true", help="no flushing; a number each step")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--label", default="")
    parser.add_argument("--groups", type=int, default=9)
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    if not a.as_installed:
        torch.set_flush_denormal(True)
    data, hidden, latent, rows, k, steps = SHAPES[a.workload]
    x = ((torch.rand(10000, data) * 256).floor() / 255).to(a.device)
    net = Vae(data, hidden, latent, k).to(a.device)
    hand = Hand(net, rows) if a.mode == "hand" else None
    moved = [flattened(list(net.parameters()))] if hand else list(net.parameters())
    optimizer = (torch.optim.Adam(moved, 1e-3, foreach=a.foreach) if a.optimizer == "adam"
                 else torch.optim.Adagrad(moved, 1e-2, foreach=a.foreach))
    loss_of = torch.compile(net) if a.mode == "compile" else net
    wait = torch.cuda.synchronize if a.device == "cuda" else lambda: None
    order = iter(())

    def step():
        nonlocal order
        index = next(order, None)
        if index is None:
            order = iter(torch.randperm(len(x), device=a.device).split(rows))
            index = next(order)
        batch = x.index_select(0, index)
        if hand:
            loss = hand(batch)
        else:
            optimizer.zero_grad(set_to_none=not a.as_installed)
            with torch.autocast(a.device, dtype=torch.bfloat16, enabled=a.bfloat16):
                loss = loss_of(batch)
            loss.backward()
        optimizer.step()
        return loss.item() if a.as_installed else loss.detach()

    for _ in range(steps):
        step()
    wait()
    ms = []
    for _ in range(a.groups):
        begin = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        ms.append(1e3 * (time.perf_counter() - begin) / steps)
    label = a.label or f"PyTorch {a.optimizer} {a.mode}{' foreach' if a.foreach else ''}" \
                       f"{' autocast bfloat16' if a.bfloat16 else ''}" \
                       f"{' cuda' if a.device == 'cuda' else ''}"
    print(f"{a.workload}\t{label}\t{torch.get_num_threads()}\t{statistics.median(ms):.3f}\t"
          f"{min(ms):.3f}\t{max(ms):.3f}")


if __name__ == "__main__":
    main()
