import torch

from datamodules.baselines.translation_memory import TranslationMemory
from datamodules.tokenizing.tokens import Ragged
from datamodules.translation import Pair


def test_answers_with_the_translation_of_the_most_similar_sentence() -> None:
    tokens = Ragged([[3, 4, 9], [5, 6, 9], [3, 6, 7, 9]])
    train = Pair(tokens.padded(torch.arange(3), 0), tokens.padded(torch.arange(3), 0))
    baseline = TranslationMemory(num_tokens=10)
    fitted = baseline.fit([(train, ["eins", "zwei", "drei"])])
    asked = Ragged([[5, 6, 8, 9], [3, 4, 9], [7, 9], [8]]).padded(torch.arange(4), 0)
    assert baseline.predictor(fitted)((Pair(asked, asked), None))[:3] == ["zwei", "eins", "drei"]
