import json
from pathlib import Path
from typing import Any

import pytest

from datamodules.files.preference_pairs import read_preferences
from tests.datamodules.conftest import Refused

ASKED, SYSTEM = {"role": "user", "content": "Hi"}, {"role": "system", "content": "Be kind."}
GOOD, BAD = ({"role": "assistant", "content": content} for content in ("Hello", "Go away"))
HUMAN = {"from": "human", "value": "Hi"}


def read(place: Path, rows: list[Any]) -> tuple[list[Any], list[str]]:
    path = place / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    notes: list[str] = []
    found = [*read_preferences(path, "utf-8", notes.append)]
    return [(pair.asked, pair.chosen, pair.rejected) for pair in found], notes


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}, [ASKED]),
        ({"system": "Be kind.", "question": "Hi", "chosen": "Hello", "rejected": "Go away"}, [SYSTEM, ASKED]),
        ({"instruction": "Hi", "input": "", "chosen": GOOD, "rejected": BAD}, [ASKED]),
        ({"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]}, [ASKED]),
        ({"prompt": "Hi", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, [ASKED]),
        ({"chosen": [SYSTEM, ASKED, GOOD], "rejected": [SYSTEM, ASKED, BAD]}, [SYSTEM, ASKED]),
        ({"messages": [SYSTEM, ASKED], "chosen": GOOD, "rejected": BAD}, [SYSTEM, ASKED]),
        (
            {
                "conversations": [HUMAN],
                "chosen": {"from": "gpt", "value": "Hello"},
                "rejected": {"from": "gpt", "value": "Go away"},
            },
            [ASKED],
        ),
        ({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: Go away"}, [ASKED]),
        ({"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": "Hello", "rejected": "Go away"}, [ASKED]),
        ({"chosen": "Hello", "rejected": "Go away"}, []),
    ],
)
def test_each_form_is_read(place: Path, row: Any, asked: list[Any]) -> None:
    assert read(place, [row]) == ([(asked, [GOOD], [BAD])], [])


def test_pairs_without_a_difference_or_an_answer_are_counted(place: Path, refused: Refused) -> None:
    equal = {"prompt": "Hi", "chosen": "Hello", "rejected": "Hello"}
    silent = {"prompt": "Hi", "chosen": "Hello", "rejected": ""}
    pair = {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}
    found, notes = read(place, [pair, equal, silent, equal])
    assert len(found) == 1
    assert [note.partition(": ")[2] for note in notes] == [
        "left out 2 of 4 pairs whose answers are equal, the first 2",
        "left out 1 of 4 pairs of which one answer says nothing, the first 3",
    ]
    with refused("of 2 pairs none is left: in 1 both answers are equal, in 1 one says nothing"):
        read(place, [equal, silent])


def test_what_is_no_pair_is_one_line(place: Path, refused: Refused) -> None:
    with refused("a.jsonl:1: has the keys prompt, chosen; expected chosen and rejected"):
        read(place, [{"prompt": "Hi", "chosen": "Hello"}])
    with refused("a.jsonl:2: chosen, message 1: the role"):
        good = {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"}
        read(place, [good, good | {"chosen": {"role": "nobody", "content": "x"}}])
