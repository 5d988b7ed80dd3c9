"""Scores on published images."""

import pytest

pytestmark = [pytest.mark.real_data, pytest.mark.long]


def test_cnn_on_mnist(score):
    assert score("--model", "cnn", "--data", "MNIST")["test"]["accuracy"] >= 0.992
