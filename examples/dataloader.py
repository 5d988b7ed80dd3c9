"""DataLoader: examples become batches, in another order in each epoch."""

import torch
from torch.utils.data import DataLoader, TensorDataset

from datamodules.tabular import TabularClassification

x = torch.arange(10.0)
loader = DataLoader(TensorDataset(x, x.square()), batch_size=4, shuffle=True)
torch.manual_seed(0)
for epoch in range(2):
    for inputs, target in loader:
        print(f"epoch {epoch}: x {inputs.tolist()}, y {target.tolist()}")

data = TabularClassification(dataset="breast_cancer", batch_size=32)  # a datamodule of the project
data.setup("fit")
batches = data.train_dataloader()
inputs, target = next(iter(batches))
print(f"{len(batches)} batches of {tuple(inputs.shape)} features and {tuple(target.shape)} classes")
