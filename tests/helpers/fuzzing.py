"""Every type of file that the program reads: a small sample of it, what reads it, and what is done to the sample."""

import io
import json
import os
import pickle
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

Files = dict[str, bytes]  # by their names in a folder
Read = Callable[[Path], Any]  # gets the folder

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)
SMALL_BERT: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
}
NUMBERS = (b"0", b"-1", b"99999999999", b"1e999", b"nan", b"-9223372036854775809", b"0x10", b"")


class FileType(NamedTuple):
    """A type of file.

    Args:
        sample: valid files.
        read: what the program reads them with.
        forged: files that would leave a mark or crash, each instead of or besides those of the sample.
        damaged: which of the sample's files are damaged at random; all by default.
    """

    sample: Files
    read: Read
    forged: tuple[Files, ...] = ()
    damaged: tuple[str, ...] = ()


class Leaves:
    """Leaves a mark, a folder, as soon as it is unpickled.

    Args:
        mark: the folder.
    """

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (str(self.mark), 0o777, True)


def pickles(mark: Path) -> list[bytes]:
    """Files that leave the mark when they are unpickled, by pickle, torch or numpy."""
    import numpy as np

    plain = [pickle.dumps(Leaves(mark), protocol) for protocol in (0, 2, 4)]
    packed, array = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "more": Leaves(mark)}, packed)
    np.save(array, np.array([Leaves(mark)], object), allow_pickle=True)
    return [*plain, packed.getvalue(), array.getvalue()]


def module(mark: Path) -> bytes:
    """The source of a module that leaves the mark when it is imported."""
    lines = ("import os", f"os.makedirs({str(mark)!r}, exist_ok=True)", "class Mine:", "    pass", "Evil = Mine")
    return "\n".join(lines).encode()


def tags(mark: Path) -> list[str]:
    """YAML values that leave the mark where tags make objects."""
    ran = json.dumps([str(mark)])
    return [
        f"!!python/object/apply:os.makedirs {ran}",
        f"!!python/object/new:os.makedirs {ran}",
        f"!!python/object/apply:subprocess.check_call [[mkdir, {json.dumps(str(mark))}]]",
        "!!python/name:os.makedirs",
        "!!python/module:theirs",
    ]


def archives(mark: Path) -> list[bytes]:
    """Archives whose members leave the mark outside of the folder that they are unpacked into."""
    names = [f"../{mark.name}", f"a/../../{mark.name}", str(mark), f"..\\{mark.name}"]
    made = []
    for name in names:
        packed, rolled = io.BytesIO(), io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"mark")
        with tarfile.open(fileobj=rolled, mode="w:gz") as archive:
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"mark"))
        made += [packed.getvalue(), rolled.getvalue()]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
        rolled = io.BytesIO()
        with tarfile.open(fileobj=rolled, mode="w") as archive:
            link = tarfile.TarInfo("out")
            link.type, link.linkname = kind, ".."
            archive.addfile(link)
            member = tarfile.TarInfo(f"out/{mark.name}")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"mark"))
        made.append(rolled.getvalue())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link_member = zipfile.ZipInfo("out")
        link_member.external_attr = 0o120777 << 16
        archive.writestr(link_member, "..")
        archive.writestr(zipfile.ZipInfo(f"out/{mark.name}"), b"mark")
    return [*made, packed.getvalue()]


def damaged(content: bytes, draw: random.Random, other: bytes) -> bytes:
    """The content with bits flipped, bytes set, a part cut out, repeated, or taken from another file."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        place = draw.randrange(len(changed) + 1)
        size = draw.choice((1, 2, 4, 16, len(changed) // 2))
        how = draw.randrange(8)
        if how == 0 and place < len(changed):
            changed[place] ^= 1 << draw.randrange(8)
        elif how == 1:
            changed[place : place + 1] = bytes([draw.choice(INTERESTING)])
        elif how == 2:
            changed[place : place + 4] = draw.choice(INTERESTING).to_bytes(1, "big") * 4
        elif how == 3:
            del changed[place:]
        elif how == 4:
            del changed[place : place + size]
        elif how == 5:
            changed[place:place] = changed[place : place + size]
        elif how == 6:
            start = draw.randrange(len(other) + 1)
            changed[place:place] = other[start : start + size]
        else:
            changed[place : place + size] = draw.choice(NUMBERS)
    return bytes(changed)


def attempts(file_type: FileType, rounds: int, draw: random.Random) -> Iterator[Files]:
    """What is in the folder, time after time."""
    for forged in file_type.forged:
        yield file_type.sample | forged
    names = file_type.damaged or tuple(file_type.sample)
    for _ in range(rounds):
        name, other = draw.choice(names), draw.choice(names)
        yield file_type.sample | {name: damaged(file_type.sample[name], draw, file_type.sample[other])}


def refuses(read: Read, folder: Path) -> None:
    """Read; passes if the files are taken, or refused as the program refuses what people give it."""
    try:
        read(folder)
    except (ValueError, OSError):
        pass  # one line, see scripts.cli.errors.one_line_errors
    except SystemExit as stop:
        if stop.code != 2:
            raise


def survive(file_type: FileType, folder: Path, rounds: int, seed: int) -> None:
    """Let the program read every attempt.

    Raises:
        AssertionError: with the attempts that ended in something else than being taken or refused.
    """
    draw = random.Random(seed)
    failed = []
    put(file_type.sample, folder)
    file_type.read(folder)  # is valid, else nothing would be read of what follows
    for index, files in enumerate(attempts(file_type, rounds, draw)):
        put(files, folder)
        (folder.parent / "attempt").write_text(str(index))  # for who looks at a crash
        try:
            refuses(file_type.read, folder)
        except BaseException as error:
            changed = {name: content for name, content in files.items() if file_type.sample.get(name) != content}
            failed.append(f"attempt {index}: {type(error).__name__}: {str(error)[:300]} with {str(changed)[:600]}")
    assert not failed, "\n".join(failed)


def put(files: Files, folder: Path) -> None:
    """Make a folder that holds these files and no others."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
