import torch

from datamodules.baselines.autoregression import MAX_INPUTS, Autoregression


def windows(series: torch.Tensor, window: int, horizon: int) -> tuple[torch.Tensor, torch.Tensor]:
    parts = series.unfold(0, window + horizon, 1)
    return parts[:, :window, None], parts[:, window:]


def test_recovers_an_autoregressive_process() -> None:
    random = torch.Generator().manual_seed(0)
    series = torch.zeros(20_000, dtype=torch.double)
    noise = torch.randn(len(series), generator=random, dtype=torch.double)
    values = [0.0, 0.0]
    for shock in noise[2:].tolist():
        values.append(0.5 * values[-1] + 0.3 * values[-2] + shock)
    series = torch.tensor(values)
    past, target = windows(series, 2, 2)
    mean, std = 40.0, 5.0  # of the units in which the target is given
    baseline = Autoregression(2, 1, mean, std)
    fitted = baseline.fit([(past, mean + std * target)])
    one_ahead, two_ahead = fitted["weight"]  # the oldest value first
    torch.testing.assert_close(one_ahead, torch.tensor([0.3, 0.5]), atol=0.02, rtol=0)
    torch.testing.assert_close(two_ahead, torch.tensor([0.15, 0.55]), atol=0.03, rtol=0)  # 0.5 φ₂, 0.5 φ₁ + φ₂
    forecast = baseline.predictor(fitted)((past[:1], None))
    torch.testing.assert_close(forecast, mean + std * (past[:1, :, 0].float() @ fitted["weight"].T + fitted["bias"]))


def test_a_straight_line_goes_on() -> None:
    past, target = windows(torch.arange(200, dtype=torch.double) / 100, 6, 3)
    baseline = Autoregression(6, 1, 0.0, 1.0, penalty=1e-6)
    forecast = baseline.predictor(baseline.fit([(past, target)]))((past, None))
    torch.testing.assert_close(forecast, target.float(), atol=1e-3, rtol=0)


def test_of_many_columns_the_target_alone_is_read() -> None:
    baseline = Autoregression(20, MAX_INPUTS, 0.0, 1.0)
    assert baseline.inputs(torch.zeros(3, 20, MAX_INPUTS)).shape == (3, 20)
    assert Autoregression(2 * MAX_INPUTS, 1, 0.0, 1.0).inputs(torch.zeros(3, 2 * MAX_INPUTS, 1)).shape == (
        3,
        MAX_INPUTS,
    )
