import json
from pathlib import Path
from typing import Any

import pytest

from datamodules.files.conversations import read_conversations, without_answer
from tests.datamodules.conftest import Refused

ASKED, SAID = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be kind."}
TURNS = [ASKED, SAID, {"role": "user", "content": "12 + 7?"}, {"role": "assistant", "content": "19"}]
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 12}}}


def written(place: Path, rows: list[Any], name: str = "a.jsonl") -> Path:
    path = place / name
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def read(place: Path, rows: list[Any], **options: Any) -> tuple[list[list[dict[str, Any]]], list[str]]:
    notes: list[str] = []
    found = read_conversations(written(place, rows), "utf-8", notes.append, **options)
    return [each.messages for each in found], notes


FORMS: list[tuple[Any, list[dict[str, Any]]]] = [
    ({"messages": TURNS}, TURNS),
    ({"conversations": TURNS, "id": 7}, TURNS),
    ({"messages": [SYSTEM, ASKED, SAID]}, [SYSTEM, ASKED, SAID]),
    (TURNS, TURNS),
    ({"messages": [{"role": "developer", "content": "Be kind."}, ASKED, SAID]}, [SYSTEM, ASKED, SAID]),
    (
        {"messages": [ASKED | {"content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}, SAID]},
        TURNS[:2],
    ),
    (
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "system": "Be kind."},
        [SYSTEM, ASKED, SAID],
    ),
    ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "system": ""}, TURNS[:2]),
    ({"instruction": "Hi", "input": "", "output": "Hello"}, TURNS[:2]),
    ({"instruction": "Add", "input": "12 and 7", "output": "19"}, [ASKED | {"content": "Add\n12 and 7"}, TURNS[3]]),
    (
        {"instruction": "Add", "context": "12 and 7", "response": "19", "category": "sum"},
        [ASKED | {"content": "Add\n12 and 7"}, TURNS[3]],
    ),
    ({"instruction": "12 + 7?", "output": "19", "history": [["Hi", "Hello"]], "system": "Be kind."}, [SYSTEM, *TURNS]),
    ({"prompt": "Hi", "completion": "Hello"}, TURNS[:2]),
    ({"prompt": [ASKED], "completion": [SAID]}, TURNS[:2]),
    ({"prompt": "Hi", "response": "Hello"}, TURNS[:2]),
    ({"question": "12 + 7?", "answer": 19}, TURNS[2:]),
    ({"query": "12 + 7?", "response": "19", "history": [["Hi", "Hello"]]}, TURNS),
    ({"input": "Hi", "output": "Hello"}, TURNS[:2]),
    ({"messages": [ASKED, SAID | {"reasoning": "Hm."}]}, [ASKED, SAID | {"reasoning_content": "Hm."}]),
    ({"问题": "Hi", "答案": "Hello"}, TURNS[:2]),
]


@pytest.mark.parametrize(("row", "messages"), FORMS)
def test_each_form_is_read(place: Path, row: Any, messages: list[dict[str, Any]]) -> None:
    found, notes = read(place, [row, row])
    assert found == [messages, messages]
    assert len(notes) == 1
    assert "read as " in notes[0]


def test_tools_are_called_and_answer(place: Path) -> None:
    described = {"name": "add", "parameters": {}}
    result = {"role": "tool", "content": "19"}
    row: dict[str, Any] = {
        "conversations": [
            {"from": "human", "value": "12 + 7?"},
            {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 12}}'},
            {"from": "observation", "value": "19"},
            {"from": "gpt", "value": "19"},
        ],
        "tools": json.dumps([described]),
    }
    expected = [TURNS[2], {"role": "assistant", "content": "", "tool_calls": [CALL]}, result, TURNS[3]]
    openai = {
        "messages": [
            TURNS[2],
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 12}'}}],
            },
            {"role": "tool", "content": "19"},
            TURNS[3],
        ],
        "tools": [{"type": "function", "function": described}],
    }
    for each in (row, openai):
        [conversation] = read_conversations(written(place, [each]), "utf-8", lambda text: None)
        assert conversation.messages == expected
        assert conversation.tools == [{"type": "function", "function": described}]


def test_an_answer_that_is_not_to_be_learned(place: Path) -> None:
    found, _ = read(place, [{"messages": [ASKED, SAID | {"weight": 0}, ASKED, SAID | {"weight": 1}]}])
    assert found == [[ASKED, SAID | {"counts": False}, ASKED, SAID]]


def test_conversations_in_which_nobody_answers_are_counted(place: Path, refused: Refused) -> None:
    silent = {"messages": [ASKED]}
    found, notes = read(place, [{"messages": TURNS}, silent, {"messages": TURNS}, silent])
    assert len(found) == 2
    assert notes[1].endswith("left out 2 of 4 conversations, in which the assistant says nothing, the first 2")
    with refused("a.jsonl:1: the assistant says nothing, as in all 2 conversations"):
        read(place, [silent, silent])
    found, _ = read(place, [silent], answered=False)
    assert found == [[ASKED]]


def test_what_is_asked_needs_no_answers(place: Path) -> None:
    for row in ({"prompt": "Hi"}, {"instruction": "Hi"}, {"question": "Hi"}, {"messages": [ASKED]}, [ASKED]):
        assert read(place, [row], answered=False)[0] == [[ASKED]]
    assert without_answer(TURNS) == TURNS[:3]
    assert without_answer([SAID]) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "Hi", "chosen": "a", "rejected": "b"}], ":1: has chosen and rejected answers: preferences"),
        ([{"text": "Hi", "id": 1}], ":1: has the keys text, id; expected messages or conversations, instruction and"),
        (
            [{"prompt": "Hi", "completion": "x"}, {"prompt": "Hi", "text": "x"}],
            ":2: has no completion, as the first row has; its keys are prompt, text",
        ),
        ([{"messages": TURNS}, TURNS], ":2: expected an object as in the first row, found a list"),
        (
            [{"messages": [{"role": "narrator", "content": "Once"}]}],
            ':1, message 1: the role "narrator" is not known; expected system, user',
        ),
        (
            [{"messages": [ASKED, {"role": "assistant", "text": "x"}]}],
            ":1, message 2: expected role and content, or from and value, found the keys role, text",
        ),
        (
            [{"messages": [ASKED, "Hello"]}],
            ':1, message 2: expected role and content, or from and value, found "Hello"',
        ),
        (
            [{"messages": [ASKED | {"content": [{"type": "image", "image": "x"}]}, SAID]}],
            ":1, message 1: expected a text, found [{",
        ),
        ([{"instruction": "Hi", "output": ["x"]}], ":1: output, message 1: expected role and content"),
        ([{"instruction": "Hi", "output": True}], ":1: output: expected a text, found true"),
        ([{"instruction": "Hi", "output": "x", "history": [["a"]]}], ":1: history: expected pairs"),
        ([{"messages": TURNS, "tools": "[{"}], ":1: tools are not JSON"),
        ([{"messages": TURNS, "tools": ["add"]}], ":1: tools: expected a list of objects"),
        (
            [
                {
                    "messages": [
                        ASKED,
                        {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": "{"}}]},
                    ]
                }
            ],
            ":1, message 2: the arguments of add are not JSON",
        ),
        (
            [{"messages": [ASKED, {"role": "assistant", "tool_calls": [{"id": 1}]}]}],
            ":1, message 2: expected a call of a function",
        ),
    ],
)
def test_what_is_no_conversation_is_one_line(place: Path, refused: Refused, rows: list[Any], message: str) -> None:
    with refused(f"a.jsonl{message}"):
        read(place, rows)
