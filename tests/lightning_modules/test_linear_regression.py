from functools import partial

import torch
from lightning.pytorch import Trainer
from sklearn.linear_model import LinearRegression as Closed

from datamodules.tabular import TabularRegression
from lightning_modules.linear_regression import LinearRegression


def test_reaches_the_closed_form_solution() -> None:
    data = TabularRegression(batch_size=None)
    data.setup("fit")
    model = LinearRegression(
        data.num_features,
        target_mean=data.target_mean,
        target_std=data.target_std,
        optimizer=partial(torch.optim.LBFGS, line_search_fn="strong_wolfe"),
    )
    Trainer(
        max_epochs=10,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, data)
    assert data.splits is not None
    train = data.examples(data.splits.train)
    x, y = train[torch.arange(len(train))]
    closed = Closed().fit(x.double(), (y.double() - data.target_mean) / data.target_std)
    torch.testing.assert_close(
        model.linear.weight[0].double().detach(), torch.from_numpy(closed.coef_), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(float(model.linear.bias.detach()), float(closed.intercept_), atol=1e-4, rtol=0)
