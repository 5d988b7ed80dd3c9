"""The bag-of-words baseline: a text's class from its words, whatever their order."""

import torch
from torch import Tensor

from datamodules.tokenizing.tokens import Ragged, Text


def fit_tf_idf(tokens: Ragged, labels: Tensor, train: Tensor, num_tokens: int, num_classes: int) -> dict[str, Tensor]:
    """Logistic regression on TF-IDF features, as scikit-learn has both by default.

    Args:
        tokens: tokens of all N texts.
        labels: (N,) class of each text.
        train: indices of the training texts.
        num_tokens: size V of the vocabulary.
        num_classes: number C of classes.

    Returns:
        `idf` (V,), the tokens' inverse document frequencies; `weight` (C, V) and `bias` (C,).
    """
    from scipy.sparse import csr_array  # take a second to import, and are not needed by a resumed run
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    ends = torch.cat([torch.zeros(1, dtype=torch.long), tokens.lengths[train].cumsum(0)])
    values = tokens.joined(train)
    shape = (len(train), num_tokens)
    counts = csr_array((torch.ones(len(values)).numpy(), values.numpy(), ends.numpy()), shape=shape)
    counts.sum_duplicates()
    transformer = TfidfTransformer()
    model = LogisticRegression(max_iter=1000).fit(transformer.fit_transform(counts), labels[train].numpy())
    weight = torch.zeros(num_classes, num_tokens)
    bias = torch.full((num_classes,), -torch.inf)
    coefficients, intercepts = torch.from_numpy(model.coef_).float(), torch.from_numpy(model.intercept_).float()
    if len(model.classes_) == 2:  # for two classes scikit-learn has the second one's log-odds only
        coefficients = torch.cat([torch.zeros_like(coefficients), coefficients])
        intercepts = torch.cat([torch.zeros_like(intercepts), intercepts])
    weight[model.classes_] = coefficients
    bias[model.classes_] = intercepts
    return {"idf": torch.from_numpy(transformer.idf_).float(), "weight": weight, "bias": bias}


def tf_idf_logits(text: Text, tf_idf: dict[str, Tensor]) -> Tensor:
    """The baseline's logits for a batch, (B, C).

    Args:
        text: B texts.
        tf_idf: fitted by `fit_tf_idf`.
    """
    idf, weight, bias = (tf_idf[name].to(text.ids.device) for name in ("idf", "weight", "bias"))
    counts = torch.zeros(len(text.ids), len(idf), device=idf.device).scatter_add_(1, text.ids, text.mask.float())
    features = torch.nn.functional.normalize(counts * idf)  # (B, V)
    return features @ weight.T + bias
