"""No file that is read runs code, crashes the interpreter, or ends in a traceback, whatever it holds.

FUZZ_ROUNDS and FUZZ_SEED in the environment make it longer, and another one.
"""

import gzip
import hashlib
import io
import json
import os
import pickle
import struct
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image
from transformers import BertConfig, BertModel

from callbacks.loggers.csv import CSVLogger
from callbacks.run.checkpoint_file import SEAL, SEAL_SIZE, read_checkpoint, write_checkpoint
from callbacks.run.run_folder import RunFolder
from datamodules.chat import Chat
from datamodules.corpus import Corpus
from datamodules.files import planetoid
from datamodules.files.images import read_idx
from datamodules.graphs import GraphClasses
from datamodules.images import Images
from datamodules.nodes import Nodes
from datamodules.preferences import Preferences
from datamodules.reading import Reading
from datamodules.series import Series
from datamodules.storage import cache_files
from datamodules.storage.download import unpack
from datamodules.storage.stored_rows import StoredRows
from datamodules.storage.token_cache import StoredRagged
from datamodules.storage.token_stream import read_stream
from datamodules.tabular import TabularClassification
from datamodules.tagging import Tagging
from datamodules.text import TextClassification
from datamodules.tokenizing.tokens import new_tokenizer, pretrained_tokenizer
from datamodules.translation import Translation
from lightning_modules.layers.bert import bert
from lightning_modules.layers.vision import read_weights
from scripts import cross_validate, fit, predict, sweep
from scripts import test as testing
from scripts.cli.command_line.recipes import resolve
from scripts.cli.run.folder import folder_of_job, newest_checkpoint
from scripts.cli.run.pretrained import PretrainedRun, own_run
from tests.helpers import planetoid_files
from tests.helpers.chat_templates import GEMMA, tokenizer_for_templates
from tests.helpers.forked import died
from tests.helpers.fuzzing import SMALL_BERT, Files, FileType, Leaves, archives, module, pickles, put, survive, tags

ROUNDS = int(os.environ.get("FUZZ_ROUNDS", 30))
SEED = int(os.environ.get("FUZZ_SEED", 0))
WORDS = ["--model", "mlp", "--data", "iris"]
TRAIN = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def set_up(cls: Callable[..., Any], name: str = "", **options: Any) -> Callable[[Path], Any]:
    """Reads a file or the folder as data, up to the first batch."""

    def read(folder: Path) -> None:
        data = cls(str(folder / name), batch_size=4, **options)
        data.setup()
        next(iter(data.train_dataloader()))

    return read


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def table(mark: Path) -> FileType:
    rows = text(["a,b,kind", *(f"{number}.5,x{number % 3},{'yn'[number % 2]}" for number in range(40))])
    return FileType(
        {"t.csv": rows}, set_up(TabularClassification, "t.csv"), tuple({"t.csv": each} for each in pickles(mark))
    )


def parquet(mark: Path) -> FileType:
    written = io.BytesIO()
    columns = {"a": [float(number) for number in range(40)], "kind": ["yn"[number % 2] for number in range(40)]}
    pq.write_table(pa.table(columns), written)
    read = set_up(TabularClassification, "t.parquet")
    return FileType({"t.parquet": written.getvalue()}, read, tuple({"t.parquet": each} for each in pickles(mark)))


def series(mark: Path) -> FileType:
    rows = text(["date,value", *(f"2024-01-01 {n // 60:02}:{n % 60:02},{n % 7}" for n in range(200))])
    return FileType(
        {"s.csv": rows}, set_up(Series, "s.csv", window=4, horizon=2), tuple({"s.csv": each} for each in pickles(mark))
    )


def texts(mark: Path) -> FileType:
    rows = text([f'{{"text": "word{n % 5} and more", "label": "{"ab"[n % 2]}"}}' for n in range(40)])
    deep = {"t.jsonl": b"[" * 200_000 + b"\n"}
    return FileType({"t.jsonl": rows}, set_up(TextClassification, "t.jsonl"), (deep,))


def text_table(mark: Path) -> FileType:
    rows = text(["label\ttext", *(f"{'ab'[n % 2]}\tword{n % 5} and more" for n in range(40))])
    return FileType({"t.tsv.gz": gzip.compress(rows), "u.tsv": rows}, set_up(TextClassification, "t.tsv.gz"))


def columns(mark: Path) -> FileType:
    rows = text([f"{'Anna' if n % 3 else 'Rome'} {'B-PER' if n % 3 else 'B-LOC'}\nsings O\n" for n in range(40)])
    return FileType({"t.txt": rows}, set_up(Tagging, "t.txt"))


def entities(mark: Path) -> FileType:
    row = '{"text": "Anna sings in Rome", "label": {"name": {"Anna": [[0, 3]]}}}'
    return FileType({"t.json": text([row] * 40)}, set_up(Tagging, "t.json"), ({"t.json": b"[" * 200_000},))


def questions(mark: Path) -> FileType:
    asked = [
        {
            "context": f"Anna {n} sings in Rome.",
            "qas": [{"id": str(n), "question": "Where?", "answers": [{"text": "Rome", "answer_start": 16 + n // 10}]}],
        }
        for n in range(10, 40)
    ]
    content = json.dumps({"data": [{"title": "t", "paragraphs": asked}]}).encode()
    return FileType({"q.json": content}, set_up(Reading, "q.json"), ({"q.json": b'{"data":' + b"[" * 200_000},))


def conversations(mark: Path) -> FileType:
    call = {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'}
    rows = [
        {"conversations": [{"from": "human", "value": f"{n}?"}, call, {"from": "gpt", "value": "Yes"}], "tools": "[]"}
        for n in range(40)
    ]
    content, deep = text([json.dumps(row) for row in rows]), {"t.jsonl": b"[" * 200_000}
    return FileType({"t.jsonl": content}, set_up(Chat, "t.jsonl", packing=False, tokenizer="bytes"), (deep,))


def instructions(mark: Path) -> FileType:
    rows = [{"instruction": f"{n}?", "input": "", "output": "Yes", "history": [["a", "b"]]} for n in range(40)]
    content = json.dumps({"data": rows}).encode()
    return FileType(
        {"t.json": content}, set_up(Chat, "t.json", packing=False, tokenizer="bytes"), ({"t.json": b"[" * 200_000},)
    )


def preferences(mark: Path) -> FileType:
    rows = [
        {"prompt": f"{n}?", "chosen": {"role": "assistant", "content": "Yes"}, "rejected": ["N"]} for n in range(40)
    ]
    rows = [row | {"rejected": [row["chosen"] | {"content": "No"}]} for row in rows]  # type: ignore[operator]
    return FileType({"t.json": json.dumps(rows).encode()}, set_up(Preferences, "t.json", tokenizer="bytes"))


def chat_templates(mark: Path) -> FileType:
    rows = text([json.dumps({"prompt": f"{n}?", "completion": "Yes"}) for n in range(40)])
    config = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": GEMMA}
    escapes = (
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ raise_exception.__globals__ }}{{ self.__init__.__globals__.os.makedirs('mark') }}",
        f"{{{{ cycler.__init__.__globals__.os.makedirs({str(mark)!r}) }}}}",
        f"{{% for each in ().__class__.__base__.__subclasses__() %}}{{{{ each({str(mark)!r}) }}}}{{% endfor %}}",
        "{% import 'os' as os %}{% include '/etc/passwd' %}",
    )
    sample = {
        "t.jsonl": rows,
        "model/tokenizer.json": tokenizer_for_templates().to_str().encode(),
        "model/tokenizer_config.json": json.dumps(config).encode(),
        "model/chat_template.jinja": GEMMA.encode(),
    }
    forged = [{"model/chat_template.jinja": each.encode()} for each in escapes]

    def read(folder: Path) -> None:
        set_up(Chat, "t.jsonl", packing=False, tokenizer=str(folder / "model"))(folder)

    return FileType(sample, read, tuple(forged))


def pairs(mark: Path) -> FileType:
    rows = text([f"one {n} dog\teins {n} hund" for n in range(80)])
    return FileType({"t.tsv": rows}, set_up(Translation, "t.tsv"))


def images(mark: Path) -> FileType:
    sample: Files = {}
    for number, ending in enumerate(("png", "jpg", "bmp", "gif", "webp", "tiff") * 4):
        file = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(file, {"jpg": "jpeg"}.get(ending, ending))
        sample[f"{'ab'[number % 2]}{number // 6 % 2}/{number}.{ending}"] = file.getvalue()
    huge = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0)
    forged = [huge, *pickles(mark), b"%!PS\n(mark) (w) file closefile\n", b"<svg onload='mark'/>"]
    return FileType(sample, set_up(Images), tuple({"a0/0.png": each} for each in forged))


def digits(mark: Path) -> FileType:
    content = b"\0\0\x08\x03" + struct.pack(">3I", 4, 5, 5) + bytes(100)
    headers = ([255] + [2**32 - 1] * 255, [2, 2**31, 2**31], [3, 0, 2**32 - 1, 2**32 - 1], [0])
    forged = tuple(
        {"i.gz": gzip.compress(b"\0\0\x08" + bytes([size]) + struct.pack(f">{len(shape)}I", *shape))}
        for size, *shape in headers
    )
    return FileType(
        {"i.gz": gzip.compress(content), "j": content}, lambda f: (read_idx(f / "i"), read_idx(f / "j")), forged
    )


def cifar(mark: Path) -> FileType:
    records = b"".join(bytes([number % 10]) + bytes([number]) * 3072 for number in range(20))
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]
    sample = {f"cifar-10-batches-bin/{name}": records for name in names}
    return FileType(sample, lambda folder: Images("CIFAR10", root=str(folder)).setup())


def many_graphs(mark: Path) -> FileType:
    nodes = range(1, 81)
    sample = {
        "G_A.txt": text([f"{n}, {n + 1}\n{n + 1}, {n}" for n in nodes if n % 2]),
        "G_graph_indicator.txt": text([str((n + 1) // 2) for n in nodes]),
        "G_graph_labels.txt": text([str(n % 2) for n in range(40)]),
        "G_node_labels.txt": text([str(n % 3) for n in nodes]),
        "G_node_attributes.txt": text([f"{n}.5, {n % 7}" for n in nodes]),
    }
    return FileType({f"G/{name}": content for name, content in sample.items()}, set_up(GraphClasses, "G"))


def nodes(mark: Path) -> FileType:
    sample = {
        "nodes.csv": text(["id,a,label", *(f"n{n},{n}.5,{'xy'[n % 2]}" for n in range(40))]),
        "edges.csv": text(["from,to", *(f"n{n},n{n + 1}" for n in range(39))]),
    }
    return FileType(sample, set_up(Nodes))


def planetoid_parts(mark: Path) -> FileType:
    folder = planetoid_files.write(mark.parent / "planetoid")
    sample = {file.name: file.read_bytes() for file in folder.iterdir()}
    forged = tuple({"ind.cora.x": each} for each in pickles(mark))
    return FileType(sample, lambda folder: planetoid.read(folder, "ind.cora."), forged)


def packed(mark: Path) -> FileType:
    sample = archives(mark.parent / "inside" / "harmless")[0].replace(b"../", b"aa/")
    forged = tuple({"a.zip": each} for each in archives(mark))
    return FileType({"a.zip": sample}, lambda folder: unpack(folder / "a.zip", folder / "in" / "side"), forged)


def cached_tokens(mark: Path) -> FileType:
    content = np.array([5, 6, 7, 8, 2, 2, 2], np.int32).tobytes()

    def read(folder: Path) -> None:
        rows = StoredRagged(folder / "a.int32")
        rows.joined(torch.arange(len(rows.lengths)))

    lies: list[list[int]] = [[-1], [2**31 - 1], [-(2**31)], [1, -(2**31), 1], [5, 2**31 - 1, 1], [5, 6, -1, 2], []]
    return FileType({"a.int32": content}, read, tuple({"a.int32": np.array(each, np.int32).tobytes()} for each in lies))


def corpora(mark: Path) -> FileType:
    rows = [{"text": [f"line {n}", "and 另一行"], "id": n} for n in range(30)]
    lists, lines = json.dumps(rows[:10], indent=1).encode(), text([json.dumps(row) for row in rows[10:20]])
    table = io.BytesIO()
    pq.write_table(pa.table({"text": [row["text"] for row in rows[20:]]}), table)
    packed = pa.compress("another text\n<|endoftext|>\nand 更多\n".encode() * 9, codec="zstd", asbytes=True)
    sample = {"a.json": lists, "b.jsonl.gz": gzip.compress(lines), "c.parquet": table.getvalue(), "d.txt.zst": packed}
    forged = tuple({"a.json": each} for each in [*pickles(mark), b"[" * 200_000, b'[{"text": 1e999' + b"9" * 9999])
    return FileType(sample, set_up(Corpus, tokenizer="bytes", window=16), forged)


def cached_documents(mark: Path) -> FileType:
    """Tokens of two documents, 3 and 4 of them, as 16 bits each; then their lengths, and bytes too many."""
    content = np.arange(8, dtype=np.uint16).tobytes() + np.array([3, 0, 4, 1, 7, 2], np.int64).tobytes()

    def read(folder: Path) -> None:
        stream = read_stream(folder / "a.uint16")
        stream.tokens.gather(np.arange(stream.lengths.sum()))

    lies: list[list[int]] = [
        [-1, 0, 8, 0, 7, 2],
        [3, 0, 4, 1, 2**62, 2],
        [3, 0, 4, 1, 7, -1],
        [3, 0, 4, 1, 7, 2**61],
        [],
    ]
    lied = (content[:16] + np.array(each, np.int64).tobytes() for each in lies)
    return FileType({"a.uint16": content}, read, tuple({"a.uint16": each} for each in lied))


def cached_rows(mark: Path) -> FileType:
    rows = text([*(json.dumps(["a text", n]) for n in range(5)), json.dumps(["a note"])])
    forged = tuple({"a.jsonl": each} for each in [*pickles(mark), b"[" * 200_000])
    return FileType({"a.jsonl": rows}, lambda folder: list(StoredRows([folder / "a.jsonl"], list)), forged)


def tokenizers(mark: Path) -> FileType:
    content = new_tokenizer("words", ["a few words and more"] * 4, 60).to_str().encode()
    forged = tuple({"tokenizer.json": each} for each in [*pickles(mark), b"[" * 200_000])

    def read(folder: Path) -> None:
        pretrained_tokenizer(str(folder)).encode("a few words")

    return FileType({"tokenizer.json": content}, read, forged)


def exported(mark: Path) -> FileType:
    said = {"recipe": "mlp", "learned": "{}", "settings": "{}"}
    content = safetensors.torch.save({"weight": torch.zeros(2, 2)}, said)
    header = struct.pack("<Q", 2**63) + b"{}"
    forged = tuple({"a.safetensors": each} for each in [header, *pickles(mark)])

    def read(folder: Path) -> None:
        path = str(folder / "a.safetensors")
        if own_run(path):
            PretrainedRun(path)
        read_weights(Path(path), "--model.pretrained", "resnet18")

    return FileType({"a.safetensors": content}, read, forged)


def hugging_face(mark: Path) -> FileType:
    network = BertModel(BertConfig(**SMALL_BERT))
    weights = io.BytesIO()
    torch.save(network.state_dict(), weights)
    config = json.loads(network.config.to_json_string()) | {"architectures": ["BertModel"]}
    mapped = {"auto_map": {"AutoConfig": "modeling_x.Mine", "AutoModel": "modeling_x.Evil"}}
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(mark.parent / "elsewhere"), "r": 1}
    elsewhere = mark.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "modeling_x.py").write_bytes(module(mark))
    (elsewhere / "config.json").write_text(json.dumps({"model_type": "evil"} | mapped))
    sample = {
        "config.json": json.dumps(config).encode(),
        "pytorch_model.bin": weights.getvalue(),
        "modeling_x.py": module(mark),
    }
    adapted = {"adapter_config.json": json.dumps(adapter | mapped).encode()}
    forged = [
        *({"pytorch_model.bin": each} for each in pickles(mark)),
        {"config.json": json.dumps(config | mapped).encode()},
        {"config.json": json.dumps({"model_type": "evil"} | mapped).encode()},
        {"config.json": json.dumps(mapped).encode()},
        {"config.json": json.dumps(config | {"attn_implementation": "somebody/kernel"}).encode()},
        *(adapted | {"adapter_model.bin": each} for each in pickles(mark)),
        adapted | {"config.json": json.dumps(config | mapped).encode()},
    ]
    read = lambda folder: bert(str(folder), num_tokens=20, max_length=16)  # noqa: E731
    return FileType(sample, read, tuple(forged), ("config.json", "pytorch_model.bin"))


def classes(mark: Path) -> list[dict[str, Any]]:
    """Configurations that name what they should not."""
    ran = [str(mark)]
    calls: list[dict[str, Any]] = [
        {"class_path": "os.makedirs", "init_args": {"name": ran[0]}},
        {"class_path": "subprocess.Popen", "init_args": {"args": ["mkdir", *ran]}},
        {"class_path": "builtins.exec", "init_args": {"source": f"import os; os.makedirs({ran[0]!r})"}},
        {
            "class_path": "torch.hub.load",
            "init_args": {"repo_or_dir": str(mark.parent), "model": "m", "source": "local"},
        },
        {"class_path": "theirs.Mine"},
        {"class_path": "theirs"},
        {"class_path": "../theirs.Mine"},
        {"class_path": 3},
        {"class_path": ["theirs.Mine"]},
    ]
    found: list[dict[str, Any]] = []
    for call in calls:
        found += [
            {"model": call},
            {"data": call},
            {"model": {"init_args": {"optimizer": call}}},
            {"trainer": {"callbacks": [call]}},
            {"trainer": {"callbacks": call}},
            {"trainer": {"profiler": call}},
            {"trainer": {"strategy": call}},
        ]
    return [*found, {"allow": "theirs"}, {"allow": ["theirs"]}, {"about": {"name": "../theirs"}}, {"about": []}]


CONFIG = {
    "about": {"name": "mlp"},
    "model": {"class_path": "lightning_modules.mlp.MLP", "init_args": {"dropout": 0.1}},
    "data": {"class_path": "datamodules.tabular.TabularClassification", "init_args": {"dataset": "iris"}},
    "trainer": {"max_epochs": 1},
}


def merged(content: dict[str, Any]) -> bytes:
    """A configuration with some sections of another."""
    whole = {key: value | content.get(key, {}) if key != "about" else value for key, value in CONFIG.items()}
    return yaml.safe_dump(
        whole | {key: value for key, value in content.items() if key not in whole or key == "about"}
    ).encode()


def configurations(mark: Path) -> FileType:
    forged = [{"c.yaml": merged(content)} for content in classes(mark)]
    forged += [{"c.yaml": b"model: {dropout: " + tag.encode() + b"}\n"} for tag in tags(mark)]
    forged += [{"c.yaml": b"model: " + b"[" * 100_000 + b"]" * 100_000}, {"c.yaml": b"? [a]\n: b\n"}]
    forged += [{"c.yaml": name.encode() + b":\n"} for name in CONFIG]

    def read(folder: Path) -> None:
        fit.main(["--config", str(folder / "c.yaml"), "--print_config", "--logs", str(folder / "logs")])

    return FileType({"c.yaml": merged({}), "theirs.py": module(mark)}, read, tuple(forged), ("c.yaml",))


def checkpoint(mark: Path) -> dict[str, Any]:
    """The content of one, of a small run."""
    logs = mark.parent / "logs"
    fit.main([*WORDS, *TRAIN, "--logs", str(logs)])
    return read_checkpoint(next(logs.rglob("best*.ckpt")))


def sealed(content: Any, folder: Path) -> bytes:
    write_checkpoint(content, folder / "sealed.ckpt")
    return (folder / "sealed.ckpt").read_bytes()


def checkpoints(mark: Path) -> FileType:
    content = checkpoint(mark)
    forged = [sealed(content | {"config": yaml.safe_load(merged(each))}, mark.parent) for each in classes(mark)]
    forged += [sealed(content | {"more": object_}, mark.parent) for object_ in (Leaves(mark),)]
    forged += pickles(mark)
    iris = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
    (mark.parent / "rows.csv").write_bytes(text([",".join(iris), "1,2,3,4"]))

    def read(folder: Path) -> None:
        words = ["--checkpoint", str(folder / "best.ckpt"), "--trainer.accelerator", "cpu"]
        testing.main(words)
        predict.main([*words, "--input", str(mark.parent / "rows.csv")])

    return FileType({"best.ckpt": sealed(content, mark.parent)}, read, tuple({"best.ckpt": each} for each in forged))


def contents(mark: Path) -> FileType:
    """What a checkpoint holds, under a checksum that fits."""
    whole = sealed({"state_dict": {"weight": torch.zeros(2, 3)}, "config": CONFIG, "epoch": 1}, mark.parent)

    def read(folder: Path) -> None:
        body = (folder / "body").read_bytes()
        seal = SEAL + hashlib.sha256(body + b"\0\0").hexdigest().encode()
        (folder / "best.ckpt").write_bytes(body + SEAL_SIZE.to_bytes(2, "little") + seal)
        read_checkpoint(folder / "best.ckpt")

    others = io.BytesIO(), io.BytesIO()
    for file, other in zip(others, ([1], {"state_dict": {}}), strict=True):
        torch.save(other, file)
    forged = [pickles(mark)[3], *(file.getvalue() for file in others)]
    return FileType({"body": whole[: -SEAL_SIZE - 2]}, read, tuple({"body": each[:-2]} for each in forged))


def folders_of_runs(mark: Path) -> FileType:
    rows = text(["epoch,step,loss", "0,1,0.5", "0,2,0.25"])

    def read(folder: Path) -> None:
        metrics = CSVLogger(RunFolder(folder / "mlp" / "version_0"))
        metrics.on_load_checkpoint({"metrics_file": {"rows": 2, "columns": ["epoch", "step"], "pending": []}})
        folder_of_job(folder, "mlp", "slurm 7")
        newest_checkpoint(folder / "mlp" / "version_0")
        resolve(["--resume", str(folder / "mlp" / "version_0")])

    run = "mlp/version_0"
    sample = {
        f"{run}/metrics.csv": rows,
        f"{run}/.lock": b"12\nslurm 7\n",
        f"{run}/config.yaml": merged({}),
        f"{run}/checkpoints/last.ckpt": pickles(mark)[3],
    }
    forged = [{f"{run}/{name}": each} for name in ("metrics.csv", ".lock", "config.yaml") for each in pickles(mark)[:3]]
    return FileType(sample, read, tuple(forged))


FILE_TYPES = (
    *(table, parquet, series, texts, text_table, columns, entities, questions, pairs, images, digits, cifar),
    *(conversations, instructions, preferences, chat_templates),
    *(many_graphs, nodes, planetoid_parts, packed, cached_tokens, cached_rows, tokenizers, exported, hugging_face),
    *(corpora, cached_documents),
    *(configurations, checkpoints, contents, folders_of_runs),
)
SLOW = (configurations, checkpoints)


@pytest.mark.parametrize(
    "made",
    [pytest.param(made, id=made.__name__, marks=[pytest.mark.long] if made in SLOW else []) for made in FILE_TYPES],
)
def test_no_file_leaves_a_mark_or_crashes(
    made: Callable[[Path], FileType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setattr(cache_files, "DATA_FOLDER", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    file_type = made(mark)
    (tmp_path / "theirs.py").write_bytes(module(mark))

    def attempt() -> None:
        warnings.simplefilter("ignore")  # of damaged files libraries warn in many words
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            survive(file_type, tmp_path / "folder", ROUNDS, SEED)

    assert died(attempt, tmp_path / "said", seconds=60 + 2 * ROUNDS) == ""
    assert not mark.exists()


def test_what_is_forged_would_leave_its_mark(tmp_path: Path) -> None:
    made = pickles(tmp_path / "mark")
    for content in made[:3]:
        pickle.loads(content)
        (tmp_path / "mark").rmdir()
    torch.load(io.BytesIO(made[3]), weights_only=False)
    (tmp_path / "mark").rmdir()
    np.load(io.BytesIO(made[4]), allow_pickle=True)
    (tmp_path / "mark").rmdir()
    for tag in tags(tmp_path / "mark")[:3]:
        yaml.unsafe_load(tag)
        (tmp_path / "mark").rmdir()
    exec(module(tmp_path / "mark"))
    (tmp_path / "mark").rmdir()


def train(folder: Path) -> None:
    fit.main(["--config", str(folder / "c.yaml"), "--logs", str(folder / "logs"), *TRAIN])


def resume_sweep(folder: Path) -> None:
    sweep.main(["--resume", str(folder)])


def resume_folds(folder: Path) -> None:
    cross_validate.main(["--resume", str(folder)])


def requests(mark: Path) -> list[tuple[Callable[[Path], Any], Files]]:
    """Files that ask for a run, each of which would leave the mark as soon as the run does what they say."""
    place = mark.parent
    (place / "theirs.py").write_bytes(module(mark))
    model = place / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "evil", "auto_map": {"AutoConfig": "theirs.Mine"}}')
    (model / "theirs.py").write_bytes(module(mark))
    loads = {
        "class_path": "lightning.pytorch.callbacks.LambdaCallback",
        "init_args": {"setup": "torch_geometric.llm.models.GLEM"},
    }
    calls: list[dict[str, Any]] = [loads, {"class_path": "theirs.Mine"}]
    runs = [{"trainer": {"callbacks": [call]}} for call in calls]
    words = [*WORDS, *TRAIN, "--allow", "theirs", "--trainer.callbacks+=theirs.Mine"]
    plan = {"name": "mlp", "words": words, "place": str(place)}
    space = {"trials": 1, "unpruned": 1, "space": {"model.dropout": {"uniform": [0, 0.5]}}, "monitor": "val/loss"}
    sweeps = {**plan, **space, "mode": "min", "seed": 0}
    elsewhere = {"name": "../../theirs", "words": [*WORDS, *TRAIN]}
    return [
        *((train, {"c.yaml": merged(run), "theirs.py": module(mark)}) for run in runs),
        (resume_sweep, {"sweep.yaml": yaml.safe_dump(sweeps).encode()}),
        (resume_sweep, {"sweep.yaml": yaml.safe_dump(sweeps | elsewhere).encode()}),
        (resume_folds, {"folds.yaml": yaml.safe_dump(plan | {"folds": 2}).encode()}),
        (resume_folds, {"folds.yaml": yaml.safe_dump(plan | {"folds": 2} | elsewhere).encode()}),
    ]


@pytest.mark.long
@pytest.mark.parametrize("index", range(6))
def test_no_run_that_a_file_asks_for_leaves_a_mark(index: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, mark = tmp_path / "place", tmp_path / "place" / "mark"
    place.mkdir()
    monkeypatch.chdir(place)
    read, files = requests(mark)[index]
    folder = place / "in" / "side"

    def attempt() -> None:
        put(files, folder)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), suppress(SystemExit):
            read(folder)

    assert died(attempt, tmp_path / "said", seconds=120) == ""
    assert not mark.exists()
    assert not [*tmp_path.glob("theirs*")]
    assert not [*place.glob("theirs")]
