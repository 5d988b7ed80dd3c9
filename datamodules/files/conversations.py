"""Conversations in the forms that people have them: messages, ShareGPT's, Alpaca's, prompts with completions."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import DataError
from datamodules.files.encoding import json_value
from datamodules.files.records import Record, records
from datamodules.files.splits import Note, listed

MESSAGES = ("messages", "conversations", "conversation")
PROMPTS = ("instruction", "prompt", "question", "query", "input", "user", "问题", "问")
ANSWERS = ("output", "completion", "response", "answer", "target", "assistant", "回答", "答案", "答")
INPUTS = ("input", "context")  # of an instruction, which goes on with it
ROLES = {  # of messages, and of ShareGPT
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant",
    "function_call": "assistant",
    "tool": "tool", "observation": "tool", "function": "tool", "function_response": "tool", "ipython": "tool",
}  # fmt: skip
KEPT = ("name", "tool_call_id")  # what a template may read of a message besides
THOUGHTS = ("reasoning_content", "reasoning", "thinking")  # of the assistant, before it answers
TRAINED = ("weight", "loss", "train")  # which of them says that an answer is not to be learned
FORMS = "messages or conversations, instruction and output, prompt and completion, or question and answer"

Message = dict[str, Any]


@dataclass
class Conversation:
    """What several have said.

    Args:
        messages: each with its `role` (system, user, assistant or tool) and `content`, a text; those of the assistant
            may have `tool_calls`, and `counts` where it is false: such an answer is not to be learned.
        tools: functions that the assistant may call, each a JSON schema.
        origin: file and line, or row.
    """

    messages: list[Message]
    tools: list[Any] = field(default_factory=list)
    origin: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether the assistant says or calls anything that is to be learned."""
        return any(is_answer(message) and message.get("counts", True) for message in self.messages)

    def identity(self) -> str:
        """What it says, equal for duplicates."""
        return json.dumps([self.messages, self.tools], ensure_ascii=False, sort_keys=True)


class Form(NamedTuple):
    """How the records of a file are conversations.

    Args:
        name: in words.
        messages: the key of all messages; empty where a record is their list, None where it has none.
        prompt: else the key of what is asked.
        answer: and that of the answer; empty where there is none.
    """

    name: str
    messages: str | None = None
    prompt: str = ""
    answer: str = ""


def is_answer(message: Message) -> bool:
    """Whether a message is one of the assistant that says or calls something."""
    return message["role"] == "assistant" and bool(message["content"].strip() or message.get("tool_calls"))


def read_conversations(path: Path, encoding: str, note: Note, answered: bool = True) -> Iterator[Conversation]:
    """The conversations of a file; those in which the assistant says nothing are counted and left out.

    Args:
        path: JSON, JSON lines or Parquet.
        encoding: of its text.
        note: reports the form, and what is left out.
        answered: whether they need answers; otherwise all are there.

    Raises:
        DataError: the form is not known, a row is of another one, or none has an answer; the message has the row.
    """
    form, unanswered, count = None, [], 0
    for where, record in records(path, encoding):
        count += 1
        if form is None:
            form = form_of(record, where, answered)
            if answered:
                note(f"{path}: read as {form.name}")
        conversation = conversation_of(record, form, where)
        if answered and not conversation.is_answered:
            unanswered.append(where)
        else:
            yield conversation
    if len(unanswered) == count:
        raise DataError(f"{unanswered[0]}: the assistant says nothing, as in all {count} conversations of this file")
    if unanswered:
        note(
            f"{path}: left out {len(unanswered)} of {count} conversations, in which the assistant says nothing, "
            f"the first {unanswered[0].removeprefix(str(path)).lstrip(': ')}"
        )


def form_of(record: Record, where: str, answered: bool = True) -> Form:
    """The form of a file, by the keys of its first record.

    Raises:
        DataError: none is known that has them; the message has the keys.
    """
    if isinstance(record, list):
        return Form("lists of messages", "")
    keys = [key for key, value in record.items() if value is not None]
    if answered and {"chosen", "rejected"} <= {*keys}:
        raise DataError(f"{where}: has chosen and rejected answers: preferences, which --model llm_preference learns")
    for key in MESSAGES:
        if isinstance(record.get(key), list):
            is_sharegpt = any(isinstance(message, dict) and "from" in message for message in record[key])
            return Form(f"ShareGPT's form ({key}: from, value)" if is_sharegpt else f"messages ({key})", key)
    for prompt in PROMPTS:
        if prompt not in keys:
            continue
        answer = next((key for key in ANSWERS if key in keys and key != prompt), "")
        if answer or not answered:
            name = "Alpaca's form" if prompt == "instruction" else "prompts and answers"
            return Form(f"{name} ({', '.join(filter(None, (prompt, answer)))})", None, prompt, answer)
    raise DataError(f"{where}: has the keys {listed(list(record), 8) or 'none'}; expected {FORMS}")


def conversation_of(record: Record, form: Form, where: str) -> Conversation:
    """The conversation of a record.

    Raises:
        DataError: it is of another form; the message has its keys.
    """
    if isinstance(record, list):
        if form.messages != "":
            raise DataError(f"{where}: expected an object as in the first row, found a list")
        return Conversation(messages_of(record, where), [], where)
    required = [key for key in (form.messages, form.prompt, form.answer) if key]
    for key in required:
        if record.get(key) is None:
            raise DataError(f"{where}: has no {key}, as the first row has; its keys are {listed(list(record), 8)}")
    if form.messages is not None:
        messages = messages_of(record[form.messages] if form.messages else [], where)
    else:
        messages = [*_history(record.get("history"), where), *prompt_of(record, form.prompt, where)]
        if form.answer:
            messages += spoken(record[form.answer], "assistant", f"{where}: {form.answer}")
    system = record.get("system") or record.get("system_prompt")
    if system and not (messages and messages[0]["role"] == "system"):
        messages = [{"role": "system", "content": text_of(system, f"{where}: system")}, *messages]
    return Conversation(messages, tools_of(record.get("tools"), where), where)


def prompt_of(record: dict[str, Any], key: str, where: str) -> list[Message]:
    """What is asked, with the input of an instruction below it."""
    messages = spoken(record[key], "user", f"{where}: {key}")
    further = next((record[name] for name in INPUTS if record.get(name)), None) if key == "instruction" else None
    if further is not None and messages:
        messages[-1]["content"] += "\n" + text_of(further, f"{where}: input")
    return messages


def spoken(value: Any, role: str, where: str) -> list[Message]:
    """A text of somebody, a message, or several, as messages.

    Raises:
        DataError: it is anything else.
    """
    if isinstance(value, list | dict):
        return messages_of(value if isinstance(value, list) else [value], where)
    return [{"role": role, "content": text_of(value, where)}]


def _history(history: Any, where: str) -> list[Message]:
    """Earlier questions with their answers, in pairs."""
    messages = []
    for pair in history or []:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise DataError(f"{where}: history: expected pairs of a question and an answer, found {_short(pair)}")
        messages += [
            {"role": role, "content": text_of(text, f"{where}: history")}
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
    return messages


def messages_of(rows: Any, where: str) -> list[Message]:
    """Messages with roles as templates know them.

    Raises:
        DataError: one has no role and no content, a role that is not known, or a content that is no text.
    """
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected a list of messages, found {_short(rows)}")
    return [_message(row, f"{where}, message {number}") for number, row in enumerate(rows, start=1)]


def _message(row: Any, where: str) -> Message:
    found = {key: value for key, value in row.items() if value is not None} if isinstance(row, dict) else {}
    said = next((key for key in ("role", "from") if key in found), None)
    content = next((found[key] for key in ("content", "value") if key in found), None)
    calls = found.get("tool_calls") or ([found["function_call"]] if "function_call" in found else [])
    if said is None or (content is None and not calls and not {"content", "value"} & {*row}):
        keys = f"the keys {listed(list(row), 8)}" if isinstance(row, dict) else _short(row)
        raise DataError(f"{where}: expected role and content, or from and value, found {keys}")
    role = ROLES.get(str(found[said]))
    if role is None:
        raise DataError(
            f"{where}: the role {_short(found[said])} is not known; expected system, user, assistant or tool "
            f"(in ShareGPT's form human, gpt, function_call or observation)"
        )
    message: Message = {"role": role, "content": text_of("" if content is None else content, where)}
    if found[said] == "function_call" and (called := _called(message["content"])):
        calls, message["content"] = called, ""
    if calls:
        message["tool_calls"] = [_call(call, where) for call in calls]
    message |= {key: found[key] for key in KEPT if isinstance(found.get(key), str)}
    if thoughts := next((found[key] for key in THOUGHTS if isinstance(found.get(key), str) and found[key]), ""):
        message["reasoning_content"] = thoughts
    if role == "assistant" and any(key in found and not found[key] for key in TRAINED):
        message["counts"] = False
    return message


def text_of(content: Any, where: str) -> str:
    """A content as text: its parts one after the other, where it has several.

    Raises:
        DataError: it is no text, such as a picture.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content)
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return "".join(text_of(part.get("text"), where) for part in content)
    raise DataError(f"{where}: expected a text, found {_short(content)}")


def _called(text: str) -> list[Any]:
    """The calls that a text in JSON describes; none where it is another text."""
    try:
        value = json_value(text)
    except json.JSONDecodeError:
        return []
    calls = value if isinstance(value, list) else [value]
    return calls if all(isinstance(call, dict) and "name" in call for call in calls) else []


def _call(call: Any, where: str) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise DataError(f"{where}: expected a call of a function by its name and arguments, found {_short(call)}")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json_value(arguments)
        except json.JSONDecodeError:
            raise DataError(f"{where}: the arguments of {function['name']} are not JSON: {_short(arguments)}") from None
    return {"type": "function", "function": {"name": function["name"], "arguments": arguments or {}}}


def tools_of(tools: Any, where: str) -> list[Any]:
    """Functions as templates know them.

    Raises:
        DataError: they are described by anything but JSON.
    """
    if isinstance(tools, str):
        try:
            tools = json_value(tools) if tools.strip() else []
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: tools are not JSON ({error.msg}, column {error.colno})") from None
    tools = [] if tools is None else tools if isinstance(tools, list) else [tools]
    if not all(isinstance(tool, dict) for tool in tools):
        raise DataError(f"{where}: tools: expected a list of objects, found {_short(tools)}")
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]


def without_answer(messages: Sequence[Message]) -> list[Message]:
    """Messages up to the last that is not the assistant's: what an answer is asked to."""
    asked = [*messages]
    while asked and asked[-1]["role"] == "assistant":
        asked.pop()
    return asked


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"
