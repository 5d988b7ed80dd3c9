"""Running text becomes windows: split by documents, tokenized once, every byte accounted for."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.corpus import Corpus
from datamodules.loading.sampling import Batches, Position
from datamodules.storage import cache_files, token_cache
from datamodules.storage.fingerprint import hash_object
from datamodules.tokenizing.packed import IGNORED, Packed
from datamodules.tokenizing.tokens import Text

WORDS = ["red", "green", "blue", "你", "好", "tall", "short", "wide"]


def story(number: int, size: int = 12) -> str:
    return f"No. {number}: " + " ".join(WORDS[(number + place * place) % 8] for place in range(size)) + "."


def written(path: Path, *texts: str) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def ready(path: Path, **options: Any) -> Corpus:
    data = Corpus(str(path), **{"batch_size": 2, "window": 16, "tokenizer": "bytes", **options})
    data.prepare_data()
    data.setup()
    return data


def texts_of(data: Corpus, split: str) -> list[str]:
    """The documents of a split, from its windows."""
    rows = data.split_examples(split)
    batch = rows[torch.arange(len(rows))]
    found: list[list[int]] = []
    before = data.end  # a document begins after one that has ended
    for token, target in zip(batch.ids.flatten().tolist(), batch.targets.flatten().tolist(), strict=True):
        if target == IGNORED:
            before = data.end
            continue
        if before == data.end and token == data.begin:
            found.append([])
        if target != data.end:
            found[-1].append(target)
        before = target
    return [data.built_tokenizer.decode(tokens) for tokens in found]


@pytest.fixture
def kept_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], None]:
    """Call it, and the tokens of any corpus are kept in files."""
    monkeypatch.setattr(cache_files, "DATA_FOLDER", tmp_path / "cache")
    return lambda: monkeypatch.setattr(token_cache, "MIN_CACHED_BYTES", 0)


@pytest.mark.parametrize("tokenizer", ["bpe", "characters", "bytes"])
def test_documents_are_split_and_none_in_two(tokenizer: str, place: Path) -> None:
    stories = [story(number) for number in range(40)]
    data = ready(written(place / "stories.jsonl", *stories), tokenizer=tokenizer, vocab_size=300)
    found = {split: texts_of(data, split) for split in ("train", "val", "test")}
    assert sorted(text for part in found.values() for text in part) == sorted(stories)
    assert [len(part) for part in found.values()] == [28, 4, 8]
    for split, part in found.items():
        rows = data.split_examples(split)
        assert int(rows[torch.arange(len(rows))].num_bytes.sum()) == sum(len(text.encode()) for text in part)


def test_the_end_of_a_long_text_is_held_out(place: Path) -> None:
    text = "".join(f"{story(number)}\n" for number in range(50))
    (place / "novel.txt").write_text(text, encoding="utf-8")
    data = ready(place / "novel.txt", val_fraction=0.1, test_fraction=0.3)
    parts = [texts_of(data, split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [1, 1, 1]
    train, val, test = (part[0] for part in parts)
    assert train + val + test == text
    size = len(text.encode())
    assert abs(len(train.encode()) - 0.6 * size) < 4
    assert abs(len(val.encode()) - 0.1 * size) < 4
    assert "split_seed" in data.without_effect()
    assert "val_fraction" not in data.without_effect()
    assert data.causes["test"] == "the end of the text, 30% of it"


def test_few_documents_are_cut_where_the_end_begins(place: Path) -> None:
    for number in range(3):
        (place / f"book {number}.txt").write_text(story(number, 60))
    data = ready(place)
    train, val, test = (texts_of(data, split) for split in ("train", "val", "test"))
    whole = [story(number, 60) for number in range(3)]
    assert train[:2] == whole[:2]
    assert "".join(train[2:] + val + test) == whole[2]
    assert data.origin(int(data.splits.test[0])).startswith("book 2.txt")
    with pytest.raises(ValueError, match=r"--data.num_folds 5.*has only 3 documents; --data.document"):
        ready(place, num_folds=5, fold=0)


def test_validation_is_cut_off_the_training_text_where_there_is_a_test_split(place: Path) -> None:
    (place / "train.txt").write_text(story(1, 90))
    (place / "test.txt").write_text(story(2, 30))
    data = ready(place)
    assert texts_of(data, "test") == [story(2, 30)]
    assert "".join(texts_of(data, "train") + texts_of(data, "val")) == story(1, 90)
    assert "test_fraction" in data.without_effect()


def test_official_splits_are_those_of_files_and_folders_in_any_mix(place: Path) -> None:
    for split in ("train", "val", "test"):
        (place / split).mkdir()
        written(place / split / "rows.jsonl", f"{split} row 1", f"{split} row 2")
        (place / split / "text.md.gz").write_bytes(gzip.compress(f"{split} text\n".encode()))
    data = ready(place)
    for split in ("train", "val", "test"):
        assert texts_of(data, split) == [f"{split} row 1", f"{split} row 2", f"{split} text\n"]


@pytest.mark.parametrize("tokenizer", ["bpe", "characters"])
def test_tokens_in_a_file_give_the_same_batches(tokenizer: str, place: Path, kept_in_files: Callable[[], None]) -> None:
    stories = [story(number, 2 + number % 30) for number in range(200)]
    written(place / "stories.jsonl", *stories)
    held = ready(place / "stories.jsonl", tokenizer=tokenizer, vocab_size=300)
    kept_in_files()
    for workers in (0, 1):
        data = ready(place / "stories.jsonl", tokenizer=tokenizer, vocab_size=300, num_workers=workers)
        assert data.fingerprint == held.fingerprint
        for loader, other in zip(
            (data.train_dataloader(), data.test_dataloader()),
            (held.train_dataloader(), held.test_dataloader()),
            strict=True,
        ):
            assert hash_object([*map(tuple, loader)]) == hash_object([*map(tuple, other)])
    kept = sorted(file.suffix for file in cache_files.cache_folder().iterdir() if file.suffix not in (".lock", ".used"))
    assert kept == [".json", ".npz", ".uint16"]


def test_a_second_start_reads_no_text(
    place: Path, kept_in_files: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(place / "stories.jsonl", *(story(number) for number in range(60)))
    kept_in_files()
    first = ready(place / "stories.jsonl", tokenizer="bpe", vocab_size=300)
    monkeypatch.setattr("datamodules.storage.corpus_documents.file_parts", None)
    again = ready(place / "stories.jsonl", tokenizer="bpe", vocab_size=300)
    assert again.fingerprint == first.fingerprint
    monkeypatch.undo()


def test_bpe_is_learned_from_an_even_sample_of_the_training_split(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(place / "stories.jsonl", *(story(number) for number in range(400)))
    data = ready(place / "stories.jsonl", tokenizer="bpe", vocab_size=300)
    seen: list[str] = []

    def learn(self: Corpus, texts: Any) -> None:
        seen.extend(texts)
        assert seen[: len(seen)] == [*texts]  # it can be read again

    monkeypatch.setattr(Corpus, "find_vocabulary", learn)
    monkeypatch.setattr("datamodules.corpus.SAMPLE", 2000)
    train = data.split(data.read()).train
    data.fit(train)
    numbers = [int(text.split(":")[0][4:]) for text in seen]
    assert {*numbers} <= {*train.tolist()}
    assert abs(sum(len(text.encode()) for text in seen) - 2000) < 100
    gaps = torch.tensor([0, *numbers, 400]).diff()
    assert gaps.max() < 4 * 400 / len(numbers)
    monkeypatch.setattr("datamodules.corpus.SAMPLE", 10**9)
    seen.clear()
    data.fit(train)
    assert len(seen) == len(train)


def test_a_text_of_less_than_a_window_is_read_as_one_shorter_window(place: Path) -> None:
    (place / "haiku.txt").write_text("An old silent pond.\nA frog jumps in.\nSplash! Silence again.\n")
    data = Corpus(str(place / "haiku.txt"), window=256, tokenizer="bytes")
    data.least_batch = 8  # nobody has chosen one
    data.setup()
    assert [len(split) for split in data.splits] == [1, 1, 1]
    assert data.batch_size == 1
    (batch,) = data.train_dataloader()
    width = batch.ids.shape[1]
    assert width < 60
    assert f"windows have {width}, not --data.window 256" in " ".join(data.notes)


def test_the_bytes_of_a_split_are_its_texts_however_windows_are_cut(place: Path) -> None:
    stories = [story(number, 1 + number % 40) for number in range(50)]
    written(place / "stories.jsonl", *stories)
    for window in (8, 31, 1000):
        data = ready(place / "stories.jsonl", window=window, tokenizer="bpe", vocab_size=300)
        total = 0
        for split in ("train", "val", "test"):
            rows = data.split_examples(split)
            total += int(rows[torch.arange(len(rows))].num_bytes.sum())
        assert total == sum(len(text.encode()) for text in stories)


def test_a_resumed_epoch_goes_on_with_the_next_batch(place: Path) -> None:
    data = ready(written(place / "stories.jsonl", *(story(number) for number in range(60))), batch_size=4)
    rows = data.split_examples("train")

    def batches(begun: int) -> list[Packed]:
        sampler = Batches(len(rows), 4, shuffle=True, drop_last=True, position=lambda: Position(begun))
        return [rows[index] for index in sampler]

    whole = batches(0)
    assert hash_object([*map(tuple, batches(5))]) == hash_object([*map(tuple, whole[5:])])


def test_a_run_s_vocabulary_is_taken_over_and_a_restored_one_tests_and_predicts(place: Path) -> None:
    written(place / "stories.jsonl", *(story(number) for number in range(40)))
    first = ready(place / "stories.jsonl", tokenizer="bpe", vocab_size=300)
    state = first.state_dict()
    (place / "other.txt").write_text("other text " * 40)
    taken = Corpus(str(place / "other.txt"), batch_size=2, window=16)
    taken.take_tokenizers(state)
    taken.setup()
    assert taken.tokenizer_json == first.tokenizer_json
    assert {"tokenizer", "vocab_size"} <= taken.without_effect().keys()

    restored = Corpus(str(place / "other.txt"), batch_size=2, window=16)
    restored.load_state_dict(state)
    restored.setup_test()
    assert [len(split) for split in restored.splits[:2]] == [0, 0]
    assert texts_of(restored, "test") == ["other text " * 40]  # all of it: nothing is held out of a test


def test_prompts_keep_their_order_and_have_a_token_in_front(place: Path) -> None:
    data = ready(written(place / "stories.jsonl", *(story(number) for number in range(40))))
    prompts = ["No. 5:", " with a space", "你好 <|endoftext|>"]
    (place / "prompts.txt").write_text("No. 5:\n\n with a space\n你好 <|endoftext|>\n", encoding="utf-8")
    lines = [json.dumps({"prompt": text}) for text in prompts[:2]] + [json.dumps({"text": prompts[2]})]
    (place / "prompts.jsonl").write_text("\n".join(lines))
    for name in ("prompts.txt", "prompts.jsonl"):
        data.set_input(place / name)
        assert [*data.predicted_names] == prompts
        found = []
        for batch in data.predict_dataloader():
            assert isinstance(batch, Text)
            for ids, length in zip(batch.ids.tolist(), batch.lengths.tolist(), strict=True):
                assert ids[0] == data.begin
                assert {*ids[length:]} <= {data.end}
                found.append(data.built_tokenizer.decode(ids[1:length]))
        assert found == prompts
    typed = place / "typed"
    typed.mkdir()
    data.set_input(data.save_typed(f"{data.typed_example('two' + chr(10) + 'lines')}\n".encode(), typed, "--example"))
    assert [*data.predicted_names] == ["two\nlines"]


def test_a_prompt_without_a_text_is_refused_with_its_line(place: Path, refused: Any) -> None:
    data = ready(written(place / "stories.jsonl", *(story(number) for number in range(40))))
    (place / "bad.jsonl").write_text('{"prompt": "a"}\n{"question": "b"}\n')
    with refused(f"{place / 'bad.jsonl'}:2", 'expected {"prompt": "…"}, found question'):
        data.set_input(place / "bad.jsonl")


def test_what_is_shown_is_what_the_rows_say(place: Path) -> None:
    data = ready(written(place / "stories.jsonl", *(story(number) for number in range(40))))
    shown = data.inputs_shown(data.splits.train)
    joined = "".join(text for text in shown)
    assert "<|endoftext|>" in joined
    assert "".join(data.shown(0)) == shown[0]
    facts = dict(data.facts())
    assert facts["documents"].startswith("40 rows of ")
    assert facts["windows"] == "of 16 tokens"
    first = next(text for text in texts_of(data, "train"))
    assert first.startswith(f"No. {int(data.origin(0).split()[-1]) - 1}:")


def test_documents_without_text_are_told_of(place: Path) -> None:
    data = ready(written(place / "stories.jsonl", *(story(number) for number in range(40)), "", "  "))
    assert f"{place / 'stories.jsonl'}: left out 2 of 42 documents, which have no text" in data.notes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": 7}, "--data.window: expected at least 8"),
        ({"document": "page"}, "--data.document page: expected one of auto, file, line, paragraph"),
        ({"text": " ,"}, "--data.text: expected the key of a row's text"),
        ({"tokenizer": "EMPTY"}, "EMPTY"),
        ({"encoding": "utf-99"}, "--data.encoding utf-99"),
        ({"num_texts": 9}, "--data.num_texts: expected at least 100"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], said: str, place: Path, refused: Any) -> None:
    (place / "EMPTY").mkdir()
    if "tokenizer" in options:
        options = {"tokenizer": str(place / "EMPTY")}
    with refused(said):
        ready(written(place / "stories.jsonl", *(story(number) for number in range(40))), **options)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.txt": ""}, "there is no text in it"),
        ({"a.txt": " \n\n", "b.md": "\n"}, "there is no text in it"),
        ({"a.jsonl": '{"text": " "}\n'}, "there is no text in it"),
        ({"a.jsonl": ""}, "there is no text in it"),
        ({"a.txt": "ab"}, "has 2 bytes of text, too few to hold some of them out"),
        ({"test.txt": "a test", "val.txt": "and no more"}, "none for train"),
        ({}, "found nothing"),
    ],
)
def test_a_corpus_without_enough_text_is_refused(files: dict[str, str], said: str, place: Path, refused: Any) -> None:
    for name, content in files.items():
        (place / name).write_text(content)
    with refused(place, said):
        ready(place)


def test_the_same_text_in_two_splits_is_counted(place: Path) -> None:
    (place / "train.jsonl").write_text("".join(json.dumps({"text": story(n)}) + "\n" for n in range(20)))
    for split in ("val", "test"):
        (place / f"{split}.jsonl").write_text("".join(json.dumps({"text": story(n)}) + "\n" for n in (3, 50, 4)))
    data = ready(place)
    assert f"{place}: 2 of the 3 documents of the test split are in the training split, too" in data.notes


def test_the_vocabulary_is_that_of_the_training_split_alone(place: Path) -> None:
    written(place / "train.jsonl", "abc", "abd")
    for split in ("val", "test"):
        written(place / f"{split}.jsonl", "xyz abc 中")
    data = ready(place, tokenizer="characters", batch_size=1)
    letters = {data.built_tokenizer.id_to_token(token) for token in range(data.num_tokens)}
    assert {"a", "b", "c", "d"} <= letters
    assert not {"x", "y", "z", "中"} & letters
    assert texts_of(data, "test") == ["xyz abc 中"]  # in bytes


def test_embedded_exercises_are_judged_by_their_name() -> None:
    data = Corpus(num_texts=200, vocab_size=300, batch_size=4)
    data.setup()
    assert data.checked == "exercises"
    assert "num_texts" not in data.without_effect()
    assert {"document", "text", "encoding"} <= data.without_effect().keys()


def test_among_too_many_documents_duplicates_are_not_looked_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.corpus.MAX_COMPARED", 39)
    data = ready(written(place / "stories.jsonl", *[story(1)] * 40))
    assert f"{place / 'stories.jsonl'}: duplicates are not looked for among 40 documents" in data.notes
