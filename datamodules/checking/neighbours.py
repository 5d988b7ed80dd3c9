"""The nearest examples of others, of all kinds of data that can be compared."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 512
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


class Neighbours(NamedTuple):
    """The nearest K of the known examples to each of N.

    Args:
        rows: (N, K) positions among the known ones, the nearest first.
        distance: (N, K) squared Euclidean distances.
    """

    rows: NDArray[np.int64]
    distance: NDArray[Any]


def nearest(vectors: Any, known: Any, k: int, same: bool = False) -> Neighbours:
    """The nearest of the known vectors to each of some.

    Args:
        vectors: (N, D), a dense array or a sparse CSR matrix.
        known: (M, D), of the same kind; M > K.
        k: K
        same: whether these are the same vectors: then none is its own neighbour.
    """
    squares = _squares(known)
    index = np.empty((vectors.shape[0], k), np.int64)
    distance = np.empty((vectors.shape[0], k), vectors.dtype)
    for start in range(0, len(index), ROWS_AT_ONCE):
        part = vectors[start : start + ROWS_AT_ONCE]
        product = part @ known.T
        product = product if isinstance(product, np.ndarray) else product.toarray()
        apart = _squares(part)[:, None] + squares - 2 * product
        rows = np.arange(len(apart))
        if same:
            apart[rows, start + rows] = np.inf
        found = np.argpartition(apart, k - 1, axis=1)[:, :k]
        order = np.argsort(apart[rows[:, None], found], axis=1, kind="stable")
        found = np.take_along_axis(found, order, axis=1)
        index[start : start + len(rows)] = found
        distance[start : start + len(rows)] = np.take_along_axis(apart, found, axis=1).clip(min=0)
    return Neighbours(index, distance)


def _squares(vectors: Any) -> NDArray[Any]:
    if isinstance(vectors, np.ndarray):
        return np.asarray(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()


def text_vectors(texts: Iterable[str]) -> Any:
    """A sparse vector of length 1 for each text, of its words and pairs of words (Chinese and Japanese: characters)."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer  # a second to import

    words = HashingVectorizer(analyzer=_terms, alternate_sign=False, norm=None, n_features=2**18, dtype=np.float32)
    return TfidfTransformer().fit_transform(words.transform(texts))


def _terms(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def thumbnails(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """A vector of length 1 for each image, whatever its brightness and contrast.

    Args:
        images: (N, H, W)
    """
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
