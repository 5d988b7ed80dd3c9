"""The language of chat templates, rendered as by transformers: jinja2 in its sandbox, since anybody may write one."""

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from datamodules.errors import DataError

DAY = datetime(2024, 7, 26)  # that examples to train on are of: the same whenever a run is begun or resumed


class RefusedError(Exception):
    """What a template says by `raise_exception`."""


class Generation(Extension):
    """The block `{% generation %}`, in which some templates write an answer: its content is written."""

    tags = {"generation"}  # noqa: RUF012 (jinja2's)

    def parse(self, parser: Parser) -> nodes.Node:
        """The block's content, with names of its own as in transformers."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_written"), [], [], body).set_lineno(line)

    def _written(self, caller: Callable[[], str]) -> str:
        return caller()


def _refuse(message: str) -> NoReturn:
    raise RefusedError(message)


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """JSON that leaves `<` as it is, other than jinja2's own."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@lru_cache(maxsize=8)
def compiled(template: str) -> jinja2.Template:
    """The template, ready to be rendered.

    Raises:
        DataError: it is not jinja2; the message has the line.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    try:
        return environment.from_string(template)
    except jinja2.TemplateSyntaxError as error:
        raise DataError(f"line {error.lineno} of the chat template: {error.message}") from None


def rendered(template: str, now: datetime, **variables: Any) -> str:
    """The text that a template writes.

    Args:
        template: in jinja2.
        now: what `strftime_now` says.
        variables: what the template knows by these names.

    Raises:
        DataError: the template refuses them, or cannot do with them.
    """
    try:
        return compiled(template).render(**variables, strftime_now=now.strftime)
    except RefusedError as refusal:
        raise DataError(f"the chat template refuses it: {' '.join(str(refusal).split())}") from None
    except DataError:
        raise
    except Exception as error:  # of any type, since a template is a program
        reason = " ".join(str(error).split())
        raise DataError(f"the chat template cannot write it ({type(error).__name__}: {reason})") from None
