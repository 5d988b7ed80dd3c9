import torch

from lightning_modules.layers.judge import Judge


def test_the_judges_output_is_features_and_log_probabilities() -> None:
    judge = Judge(1, 3).eval()
    output = judge(torch.randn(4, 1, 8, 8))
    assert output.shape == (4, 64 + 3)
    torch.testing.assert_close(output[:, -3:].exp().sum(1), torch.ones(4))
    torch.testing.assert_close(output[:, -3:], judge.classes(output[:, :-3]).log_softmax(-1))


def test_the_judge_learns_to_classify_and_never_requires_a_gradient() -> None:
    torch.manual_seed(0)
    target = torch.arange(6) % 3
    batches = [(target.view(-1, 1, 1, 1) + torch.randn(6, 1, 8, 8), target) for _ in range(40)]
    judge = Judge(1, 3).requires_grad_(False).eval()
    judge.fit(batches, steps=40)
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    images, _ = batches[0]
    assert judge(images)[:, -3:].argmax(1).tolist() == target.tolist()
