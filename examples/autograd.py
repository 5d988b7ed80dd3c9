"""Autograd: the gradient of a computation, and a descent along it."""

import torch

x = torch.linspace(-1, 1, 20)
y = 3 * x + 1  # what is to be found again

weight, bias = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
for step in range(41):
    loss = (weight * x + bias - y).square().mean()
    loss.backward()  # computes weight.grad and bias.grad
    with torch.no_grad():  # a step downhill, which is not part of the computation
        for parameter in (weight, bias):
            parameter -= 0.3 * parameter.grad
            parameter.grad = None  # the next backward() would add to it
    if step % 10 == 0:
        print(f"step {step}: loss {loss.item():.4f}, y = {weight.item():.2f} x + {bias.item():.2f}")
