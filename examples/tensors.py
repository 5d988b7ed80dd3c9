"""Tensors: numbers with a shape, and operations on all of them at once."""

import torch

x = torch.arange(12.0).reshape(3, 4)  # three examples of four features
print(x.shape, x.dtype, x.device)
print(x[1], x[:, 0])  # an example; a feature of all examples

mean, std = x.mean(0), x.std(0)  # over the examples: (4,)
print((x - mean) / std)  # (3, 4) and (4,): the four are used for every example, which is called broadcasting

weight = torch.tensor([1.0, 0.0, -1.0, 0.5])
print(x @ weight)  # (3, 4) @ (4,) → (3,): a weighted sum for each example
