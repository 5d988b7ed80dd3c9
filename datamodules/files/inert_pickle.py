"""Pickles read as data: no name in them is looked up, and nothing is called."""

import codecs
import pickle
import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar


class Name(str):
    """The dotted name of a class or function, which is never looked up."""


@dataclass(eq=False, slots=True)
class Call:
    """A call that unpickling would execute: the name of the callable, its arguments, and the state of the result."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


class Pickle:
    """A pickle, of which every object but numbers, texts, lists, tuples and dictionaries stays a `Call`.

    Work and memory are of the order of the file's size. (The interpreter's own unpickler allocates what a file says
    that it needs, and hashing a deep tuple overflows its stack.)

    Args:
        content: the file's.
        names: of the classes and functions that are accepted.
    """

    operations: ClassVar[dict[int, Callable[["Pickle"], None]]] = {}

    def __init__(self, content: bytes, names: Collection[str]) -> None:
        self.content = content
        self.names = names
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []  # lengths of the stack
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The object that the pickle describes.

        Raises:
            ValueError, LookupError, struct.error: the pickle is damaged, or contains something unexpected.
        """
        content, operations, stop = self.content, self.operations, pickle.STOP[0]
        while True:
            code = content[self.at]
            self.at += 1
            if code == stop:
                return self.stack.pop()
            operation = operations.get(code)
            if operation is None:
                raise ValueError(f"operation {bytes([code])!r} is not accepted")
            operation(self)

    def taken(self, size: int) -> bytes:
        """The next bytes."""
        start, self.at = self.at, self.at + size
        if not start <= self.at <= len(self.content):
            raise ValueError("it is truncated")
        return self.content[start : self.at]

    def unpack(self, format_: str) -> Any:
        """The next number, in a format of `struct`."""
        (value,) = struct.unpack_from(format_, self.content, self.at)
        self.at += struct.calcsize(format_)
        return value

    def line(self) -> bytes:
        """The rest of the line."""
        return self.taken(self.content.index(b"\n", self.at) + 1 - self.at)[:-1]

    def marked(self) -> list[Any]:
        """Pop everything that was pushed since the last mark."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def instead_of_marked(self, value: Any) -> list[Any]:
        """Replace everything that was pushed since the last mark by a value."""
        values = self.marked()
        self.push(value)
        return values

    def push(self, value: Any) -> None:
        """Push a value onto the stack."""
        self.stack.append(value)

    def remember(self, key: int) -> None:
        """Memorise the value on top of the stack."""
        self.memo[key] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        """Add values to the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise ValueError(f"expected a list to add to, found {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        """Set keys, each followed by its value, of the dictionary on top of the stack."""
        target = self.stack[-1]
        if type(target) is Call and target.name == "collections.defaultdict":
            target.state = target.state or {}
            target = target.state
        if type(target) is not dict or not {*map(type, values[::2])} <= {int, str}:
            raise ValueError("expected a dictionary whose keys are numbers or texts")
        target.update(zip(values[::2], values[1::2], strict=True))

    def find(self, module: Any, name: Any) -> None:
        """Push a name, if it is accepted."""
        if type(module) is not str or type(name) is not str:
            raise ValueError("expected the name of a module and one in it")
        if f"{module}.{name}" not in self.names:
            raise ValueError(f"{module}.{name} is not accepted")
        self.push(Name(f"{module}.{name}"))

    def call(self) -> None:
        """Record a call of the name below the arguments."""
        arguments, name = self.stack.pop(), self.stack.pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise ValueError(f"expected a name and its arguments, found {type(name).__name__}")
        self.push(Call(str(name), arguments))

    def build(self) -> None:
        """Set the state of the call on top of the stack."""
        state = self.stack.pop()
        if type(self.stack[-1]) is not Call:
            raise ValueError(f"{type(self.stack[-1]).__name__} has no state")
        self.stack[-1].state = state


def text_of(value: bytes) -> str:
    """A string of Python 2: each byte is a character."""
    return value.decode("latin1")


def _integer(line: bytes) -> int | bool:
    return {b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line.removesuffix(b"L"))


def _quoted(line: bytes) -> str:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a text without its quotes")
    return text_of(codecs.escape_decode(line[1:-1])[0])


def _little(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


# By pickle's own names, in all its protocols, without extensions, persistent objects, buffers, sets, classes of
# Python 1, and integers of gigabytes.
Pickle.operations = {
    getattr(pickle, name)[0]: operation
    for name, operation in {
        "PROTO": lambda p: p.unpack("<B"),
        "FRAME": lambda p: p.unpack("<Q"),
        "MARK": lambda p: p.marks.append(len(p.stack)),
        "POP": lambda p: p.stack.pop(),
        "NONE": lambda p: p.push(None),
        "NEWTRUE": lambda p: p.push(True),
        "NEWFALSE": lambda p: p.push(False),
        "INT": lambda p: p.push(_integer(p.line())),
        "BININT": lambda p: p.push(p.unpack("<i")),
        "BININT1": lambda p: p.push(p.unpack("<B")),
        "BININT2": lambda p: p.push(p.unpack("<H")),
        "LONG": lambda p: p.push(_integer(p.line())),
        "LONG1": lambda p: p.push(_little(p.taken(p.unpack("<B")))),
        "STRING": lambda p: p.push(_quoted(p.line())),
        "BINSTRING": lambda p: p.push(text_of(p.taken(p.unpack("<i")))),
        "SHORT_BINSTRING": lambda p: p.push(text_of(p.taken(p.unpack("<B")))),
        "UNICODE": lambda p: p.push(p.line().decode("raw-unicode-escape")),
        "BINUNICODE": lambda p: p.push(p.taken(p.unpack("<I")).decode()),
        "SHORT_BINUNICODE": lambda p: p.push(p.taken(p.unpack("<B")).decode()),
        "BINBYTES": lambda p: p.push(p.taken(p.unpack("<I"))),
        "SHORT_BINBYTES": lambda p: p.push(p.taken(p.unpack("<B"))),
        "EMPTY_LIST": lambda p: p.push([]),
        "LIST": lambda p: p.push(p.marked()),
        "APPEND": lambda p: p.extend([p.stack.pop()]),
        "APPENDS": lambda p: p.extend(p.marked()),
        "EMPTY_TUPLE": lambda p: p.push(()),
        "TUPLE": lambda p: p.push(tuple(p.marked())),
        "TUPLE1": lambda p: p.push((p.stack.pop(),)),
        "TUPLE2": lambda p: p.push((p.stack.pop(), p.stack.pop())[::-1]),
        "TUPLE3": lambda p: p.push((p.stack.pop(), p.stack.pop(), p.stack.pop())[::-1]),
        "EMPTY_DICT": lambda p: p.push({}),
        "DICT": lambda p: p.update(p.instead_of_marked({})),
        "SETITEM": lambda p: p.update([p.stack.pop(), p.stack.pop()][::-1]),
        "SETITEMS": lambda p: p.update(p.marked()),
        "PUT": lambda p: p.remember(int(p.line())),
        "BINPUT": lambda p: p.remember(p.unpack("<B")),
        "LONG_BINPUT": lambda p: p.remember(p.unpack("<I")),
        "MEMOIZE": lambda p: p.remember(len(p.memo)),
        "GET": lambda p: p.push(p.memo[int(p.line())]),
        "BINGET": lambda p: p.push(p.memo[p.unpack("<B")]),
        "LONG_BINGET": lambda p: p.push(p.memo[p.unpack("<I")]),
        "GLOBAL": lambda p: p.find(p.line().decode(), p.line().decode()),
        "STACK_GLOBAL": lambda p: p.find(*[p.stack.pop(), p.stack.pop()][::-1]),
        "REDUCE": Pickle.call,
        "NEWOBJ": Pickle.call,
        "BUILD": Pickle.build,
    }.items()
}
