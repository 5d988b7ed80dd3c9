"""A large language model that is aligned with preferences."""

from lightning_modules.llm import LLM
from lightning_modules.tasks.preference import Preference


class LLMPreference(Preference, LLM):
    """The network of LLM, trained by direct preference optimization.

    Rafailov et al. 2023, https://arxiv.org/abs/2305.18290.

    Args:
        kwargs: arguments of Preference and of LLM.
    """
