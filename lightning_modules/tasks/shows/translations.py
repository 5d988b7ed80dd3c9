"""What a translator shows: translations beside their references, and what their tokens attend to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from datamodules.tokenizing.tokens import Text
from datamodules.translation import Pair
from lightning_modules.tasks.boards import MAX_TEXTS, escape, table
from lightning_modules.tasks.pictures.translations import Attention, Translated, attention_maps, translated_texts
from lightning_modules.tasks.results.outcomes import LOSS, Outcomes
from lightning_modules.tasks.task import Board

if TYPE_CHECKING:
    from lightning_modules.tasks.translator import Translator

MAX_SEARCHED = 24  # of a batch of the validation: decoding takes long
MAX_MAPS = 3  # of attention
SPACE_MARK = "▁"  # in front of the first subword of a word


def show_translations(model: "Translator", batch: Any, board: Board) -> None:
    """The worst translations of a batch first, and what the tokens of a few of them attend to."""
    pair, references = batch
    rows = torch.arange(0, len(references), -(-len(references) // MAX_SEARCHED), device=pair.source.ids.device)
    source = Text(pair.source.ids[rows], pair.source.lengths[rows])
    names = board.names or [""] * len(references)
    references, origins = ([texts[row] for row in rows.tolist()] for texts in (references, names))
    found = model.search(source)
    translations = model.target_tokenizer.decode_batch(found)
    outcomes = Outcomes(torch.arange(len(found)), model.results().kept(batch, translations, references))
    scores, sources = (100 - outcomes[LOSS]).tolist(), model.sources(source)
    order = outcomes.worst(MAX_TEXTS).tolist()
    shown = [Translated(sources[row], translations[row], references[row], scores[row], origins[row]) for row in order]
    board.figure("worst translations", translated_texts(shown))
    cells = [[each.score, *map(escape, (each.source, each.translation, each.reference, each.origin))] for each in shown]
    board.text("translations", table(["chrF", "source", "translation", "reference", "from"], cells, ".1f"))
    maps = attended(model, source, found, order[:MAX_MAPS])
    if maps:
        board.figure("attention", attention_maps(maps, model.attends))


def attended(
    model: "Translator", source: Text, translations: Sequence[Sequence[int]], rows: Sequence[int]
) -> list[Attention]:
    """What the tokens of some translations attend to; none of a model that does not tell.

    Args:
        model: that has made them.
        source: B sentences.
        translations: of each, tokens without begin and end.
        rows: which of them.
    """
    maps = []
    for row in rows:
        length, ids = int(source.lengths[row]), [*translations[row], model.end]
        target = torch.tensor([[model.begin, *ids]], device=source.ids.device)
        alone = Text(source.ids[row : row + 1, :length], source.lengths[row : row + 1])
        weights = model.attention_weights(Pair(alone, Text(target, target.new_tensor([len(ids) + 1]))))
        if weights is None:
            return []
        names = [
            [(tokenizer.id_to_token(index) or "").replace(SPACE_MARK, " ").strip() or SPACE_MARK for index in each]
            for tokenizer, each in ((model.target_tokenizer, ids), (model.source_tokenizer, alone.ids[0].tolist()))
        ]
        maps.append(Attention(weights[0], *names))
    return maps
