"""From conversations to tokens by a chat template, and which of these tokens are the answers to learn."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from datamodules.errors import DataError
from datamodules.tokenizing.control_tokens import CONTROL, ESCAPE, ControlTokens, unmarked
from datamodules.tokenizing.template_language import DAY, compiled, rendered
from datamodules.tokenizing.tokens import tokenizer_from_json

Message = dict[str, Any]  # `role` and `content`, and whatever else a template reads

# ChatML, and in it tools and thoughts as Qwen writes them. What a conversation begins with is put before it.
CHATML = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages and messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- '# Tools\\n\\nYou may call one or more functions to assist with the user query.\\n\\n' }}
    {{- 'You are provided with function signatures within <tools></tools> XML tags:\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' + tool | tojson }}
    {%- endfor %}
    {{- '\\n</tools>\\n\\nFor each function call, return a json object with function name and arguments ' }}
    {{- 'within <tool_call></tool_call> XML tags:\\n<tool_call>\\n' }}
    {{- '{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if not (tools and loop.first and message.role == 'system') %}
        {%- if message.role == 'tool' %}
            {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' }}
            {{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' if message.reasoning_content }}
            {{- message.content }}
        {%- endif %}
        {%- for call in message.tool_calls or [] %}
            {{- '\\n' if message.content or not loop.first }}
            {{- '<tool_call>\\n' + {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
            {{- '\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
BEGIN = "{{ bos_token }}"
LIKE_A_TOKEN = re.compile(r"<[|｜][^<>|｜\s]+[|｜]>|</s>|<end_of_turn>|<eos>")
PROBE: list[Message] = [{"role": "user", "content": "How are you?"}, {"role": "assistant", "content": "Fine."}]
MAX_SHOWN = 40  # characters of a text in a message
SHORT = 200  # characters of a text whose tokens are remembered


class Span(NamedTuple):
    """The characters of a text from `start` to before `end`."""

    start: int
    end: int


class Example(NamedTuple):
    """A conversation as a model learns from it.

    Args:
        ids: its tokens.
        counts: of each token, whether it is to be learned: those of the answers, and the end token of each.
        num_bytes: UTF-8 bytes of the answers, without special tokens.
    """

    ids: list[int]
    counts: list[bool]
    num_bytes: int


class ChatTemplate:
    """A chat template with the tokenizer whose tokens it writes.

    The answers in a conversation are found by rendering it up to each: what follows the prompt for an answer, in the
    conversation with the answer in it, is the answer. What the template writes after its end token is no part of it.

    Special tokens in what people write are encoded as text (`ControlTokens`). A text is encoded as a whole. But where
    the tokens of a prompt are other ones alone than at the beginning of the longer text, the text is cut there: a model
    is asked what it was taught, token by token.

    Args:
        template: in jinja2.
        tokenizer_json: the tokenizer.
        begin: the token before a document, which the template knows as `bos_token`; None where there is none.
        end: the token after a document, `eos_token`.
        now: the time that the template may tell; by default the one of all examples to train on.

    Raises:
        DataError: the template is not jinja2, or writes special tokens that the tokenizer has not.
    """

    def __init__(
        self, template: str, tokenizer_json: str, begin: int | None, end: int, now: datetime | None = None
    ) -> None:
        compiled(template)
        tokenizer = tokenizer_from_json(tokenizer_json)
        self.template = template
        self.end = end
        self.now = now or DAY
        self.special = {"eos_token": str(tokenizer.id_to_token(end))}
        if begin is not None:
            self.special["bos_token"] = str(tokenizer.id_to_token(begin))
        self.control = ControlTokens(tokenizer_json, self.special.values())
        self.begin_name = self.special.get("bos_token")
        self._check_tokens(tokenizer)
        self._alone = lru_cache(maxsize=10_000)(lambda text: self.control.encode(text).ids)

    def _check_tokens(self, tokenizer: Tokenizer) -> None:
        text = unmarked(self._text(PROBE, (), True))
        for found in LIKE_A_TOKEN.finditer(text):
            if tokenizer.token_to_id(found[0]) is None:
                raise DataError(
                    f"the chat template writes {found[0]}, which is no token of the tokenizer; "
                    f"expected a template in its tokens, or a tokenizer that has it"
                )

    def _escaped(self, messages: Sequence[Message], tools: Sequence[Any]) -> tuple[list[Message], list[Any]]:
        """What a template is given."""
        seen = [{key: value for key, value in message.items() if key != "counts"} for message in messages]
        return self.control.escaped(seen), self.control.escaped([*tools])

    def _text(self, messages: Sequence[Message], tools: Sequence[Any], prompt: bool) -> str:
        """The marked text of messages that are escaped."""
        text = rendered(
            self.template,
            self.now,
            messages=[*messages],
            tools=[*tools] or None,
            documents=None,
            add_generation_prompt=prompt,
            **self.special,
        )
        return self.control.marked(text)

    def text(self, messages: Sequence[Message], add_generation_prompt: bool = True, tools: Sequence[Any] = ()) -> str:
        """A conversation as it is written, to be shown.

        Raises:
            DataError: the template refuses it.
        """
        return unmarked(self._text(*self._escaped(messages, tools), add_generation_prompt))

    def render(
        self, messages: Sequence[Message], add_generation_prompt: bool = True, tools: Sequence[Any] = ()
    ) -> list[int]:
        """The tokens of a conversation, as examples to train on have them.

        Args:
            messages: of it.
            add_generation_prompt: whether to add what an answer follows.
            tools: functions that the model may call, each described by a JSON schema.

        Raises:
            DataError: the template refuses it.
        """
        escaped, functions = self._escaped(messages, tools)
        text = self._text(escaped, functions, add_generation_prompt)
        return self._tokens(text, [self._text(escaped[:i], functions, True) for i in answers_in(escaped)])[0]

    @property
    def stop_ids(self) -> list[int]:
        """The tokens that end an answer, the usual one first.

        Raises:
            DataError: the template's answers have no end.
        """
        example = next(self.examples(PROBE))
        last = max(position for position, counts in enumerate(example.counts) if counts)
        return list(dict.fromkeys([example.ids[last], self.end]))

    def begins(self) -> bool:
        """Whether a conversation begins with the token before a document, where there is one."""
        return self.begin_name is None or self._text(PROBE, (), True).startswith(CONTROL + self.begin_name)

    def examples(self, messages: Sequence[Message], tools: Sequence[Any] = ()) -> Iterator[Example]:
        """What a model learns from a conversation.

        That is one example; but one for each answer where the template writes an answer otherwise once the conversation
        goes on, as those do that drop what the model has thought. There is none where nobody answers.

        Args:
            messages: of the conversation.
            tools: functions that the model may call.

        Raises:
            DataError: the template refuses the conversation, or it cannot be found out what it writes of an answer.
        """
        escaped, functions = self._escaped(messages, tools)
        prompts = {index: self._text(escaped[:index], functions, True) for index in answers_in(escaped)}
        found = []
        for index, prompt in prompts.items():
            if messages[index].get("counts", True):
                text = self._text(escaped[: index + 1], functions, False)
                found.append((text, self._answer(prompt, text, escaped[index])))
        whole = found[-1][0] if found else ""
        if all(whole.startswith(text[: answer.end]) for text, answer in found):
            yield from [self._example(whole, [answer for _, answer in found], [*prompts.values()])] * bool(found)
        else:
            for text, answer in found:
                yield self._example(text, [answer], [*prompts.values()])

    def _example(self, text: str, answers: Sequence[Span], prompts: Sequence[str]) -> Example:
        ids, begins = self._tokens(text, prompts)
        counts = [False] * len(ids)
        for answer in answers:
            first, last = bisect_left(begins, answer.start), bisect_left(begins, answer.end)
            counts[first:last] = [True] * (last - first)
            assert first < last, "an answer of no tokens"
        spoken = "".join(self.control.control.sub("", text[answer.start : answer.end]) for answer in answers)
        return Example(ids, counts, len(spoken.encode("utf-8", "surrogatepass")))

    def _answer(self, prompt: str, text: str, message: Message) -> Span:
        """Where the answer and its end token are in the text of a conversation that ends with it."""
        if not text.startswith(prompt):
            same = next(i for i, letters in enumerate(zip(prompt, f"{text}\0", strict=False)) if len({*letters}) > 1)
            raise DataError(
                f"what the chat template writes of an answer does not follow its prompt for one: the prompt goes on "
                f"with {shown(unmarked(prompt[same:]))}, the answer with {shown(unmarked(text[same:]))}"
            )
        written, before = unmarked(text[len(prompt) :]), squeezed(unmarked(prompt[max(prompt.rfind(CONTROL), 0) :]))
        spoken = [message["content"], message.get("reasoning_content") or ""]
        parts = [*map(name_of, message.get("tool_calls") or ()), *(part.replace(ESCAPE, "") for part in spoken)]
        for part in filter(str.strip, parts):
            found = (before + squeezed(written)).rfind(squeezed(part))  # the prompt may begin it, as by `<think>`
            if found < 0 or found + len(squeezed(part)) <= len(before):
                raise DataError(f"the chat template leaves out {shown(part)} of an answer: it writes {shown(written)}")
        ends = [found for found in self.control.control.finditer(text, len(prompt)) if self._may_end(found[1])]
        if last := spoken[0].replace(ESCAPE, "").split()[-1:]:  # what is added to the conversation is not of the answer
            at_once = [found for found in ends if text[len(prompt) : found.start()].rstrip().endswith(last[0])]
            ends = at_once or ends
        if not ends:
            raise DataError(
                f"the chat template ends an answer without a special token, with {shown(written[-20:])}: "
                f"a model that is trained so never stops"
            )
        return Span(len(prompt), ends[-1].end())

    def _may_end(self, name: str) -> bool:
        """Whether a special token may end an answer: one that begins the next message does not."""
        return name != self.begin_name or name == self.special["eos_token"]

    def _tokens(self, text: str, prompts: Sequence[str]) -> tuple[list[int], list[int]]:
        """The tokens of a marked text, and where each begins.

        Args:
            text: the text.
            prompts: of answers; those with which the text begins have the tokens in it that they have alone.
        """
        encoding = self.control.encode(text)
        ids, begins, cuts = encoding.ids, [begin for begin, _ in encoding.offsets], []
        for prompt in prompts:
            if len(prompt) < len(text) and text.startswith(prompt):
                last = prompt[max(prompt.rfind(CONTROL), 0) :]  # what follows a special token is encoded on its own
                first, end = bisect_left(begins, len(prompt) - len(last)), bisect_left(begins, len(prompt))
                alone = self._alone(last) if len(last) < SHORT else self.control.encode(last).ids
                cuts += [len(prompt)] * (ids[first:end] != alone)
        return self.control.encode_cut(text, cuts) if cuts else (ids, begins)


def answers_in(messages: Sequence[Message]) -> list[int]:
    """Which messages are answers: those of the assistant that say or call something."""
    return [
        index
        for index, message in enumerate(messages)
        if message["role"] == "assistant" and (message["content"].strip() or message.get("tool_calls"))
    ]


def name_of(call: Any) -> str:
    """The name of the function that is called."""
    return str(call["function"]["name"])


def squeezed(text: str) -> str:
    """A text without blanks."""
    return "".join(text.split())


def shown(text: str) -> str:
    """A text in a message for people: quoted, on one line, and not too long."""
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")
