import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from datamodules.loading.sampling import Splits
from datamodules.synthetic.phrases import chinese, chinese_digits, english, english_ordinal, english_year, phrases
from datamodules.tokenizing.tokens import BEGIN, END, PAD, new_translator_tokenizer
from datamodules.translation import Pair, Translation, scoring_of

ENGLISH = [f"I have {english(number)} books." for number in range(60)]
GERMAN = [f"Ich habe {number} Bücher in Köln." for number in range(60)]
CHINESE = [f"我有{chinese(number)}本书。" for number in range(60)]


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    content = "".join(f"{line}\n" for line in lines).encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def table(path: Path, header: str = "", targets: list[str] = CHINESE, separator: str = "\t") -> Path:
    rows = [separator.join(pair) for pair in zip(ENGLISH, targets, strict=True)]
    return write(path, [header, *rows] if header else rows)


def ready(path: Path | str, **options: Any) -> Translation:
    data = Translation(str(path), **{"batch_size": 4, **options})
    data.setup()
    return data


def splits(data: Translation) -> Splits:
    assert data.splits is not None
    return data.splits


def sources(data: Translation, split: str) -> set[str]:
    return {data.pairs[row][0] for row in getattr(splits(data), split).tolist()}


@pytest.mark.parametrize(
    ("number", "words", "characters"),
    [
        (0, "zero", "零"),
        (10, "ten", "十"),
        (15, "fifteen", "十五"),
        (20, "twenty", "二十"),
        (101, "one hundred and one", "一百零一"),
        (110, "one hundred and ten", "一百一十"),
        (1000, "one thousand", "一千"),
        (3042, "three thousand and forty-two", "三千零四十二"),
        (5006, "five thousand and six", "五千零六"),
        (10010, "ten thousand and ten", "一万零一十"),
        (20500, "twenty thousand five hundred", "二万零五百"),
        (100000, "one hundred thousand", "十万"),
        (819720, "eight hundred and nineteen thousand seven hundred and twenty", "八十一万九千七百二十"),
    ],
)
def test_numbers_in_both_languages(number: int, words: str, characters: str) -> None:
    assert english(number) == words
    assert chinese(number) == characters


def test_ordinals_and_years() -> None:
    assert " ".join(english_ordinal(n) for n in (1, 2, 3, 4, 5, 8, 9, 12, 20, 21, 30)) == (
        "first second third fourth fifth eighth ninth twelfth twentieth twenty-first thirtieth"
    )
    assert [english_year(year) for year in (1905, 1900, 1984)] == [
        "nineteen oh five", "nineteen hundred", "nineteen eighty-four"
    ]  # fmt: skip
    assert chinese_digits(1905) == "一九〇五"


def test_phrases_are_repeatable_and_all_different() -> None:
    first = phrases(2000, seed=0)
    assert first == phrases(2000, seed=0) != phrases(2000, seed=1)
    assert len({phrase.source for phrase in first}) == len({phrase.target for phrase in first}) == 2000


def test_no_test_phrase_is_seen_in_training() -> None:
    data = ready("phrases")
    assert [len(split) for split in splits(data)] == [4200, 600, 1200]
    for side in (0, 1):
        train, val, test = ({data.pairs[row][side] for row in split.tolist()} for split in splits(data))
        assert not train & val
        assert not train & test
        assert not val & test


TEXTS = [
    "Ein weißer Hund läuft, ohne Halsband!",
    'He said: "It\'s 3.50 (or 4) €."',
    "我有 3 本书 (books)，你呢？",
    "今天天气很好。",
    "a  b   c",
    "L'été, à l’école – ça va ?",
    "😀 ok",
    "U.S.A. vs. x_y-z",
]


@pytest.mark.parametrize("vocab_size", [30, 120, 2000])
def test_the_tokenizer_gives_the_text_back(vocab_size: int) -> None:
    texts = TEXTS + ENGLISH + GERMAN + CHINESE
    tokenizer = new_translator_tokenizer(texts, vocab_size)
    assert tokenizer.decode_batch([tokenizer.encode(text).ids for text in texts]) == texts
    again = Tokenizer.from_str(tokenizer.to_str())
    assert again.decode_batch([again.encode(text).ids for text in texts]) == texts


def test_words_are_cut_into_pieces_and_chinese_into_characters() -> None:
    tokenizer = new_translator_tokenizer(ENGLISH + CHINESE, 2000)
    assert tokenizer.encode("我有三本书。").tokens == [*"我有三本书。", END]
    assert tokenizer.encode("I have seven books.").tokens == ["▁I", "▁have", "▁seven", "▁books", ".", END]
    few = new_translator_tokenizer(ENGLISH, 50)
    assert "".join(few.encode("I have thirteen books.").tokens[:-1]) == "▁I▁have▁thirteen▁books."
    assert len(few.encode("I have thirteen books.")) > 6


def test_a_batch_is_the_text() -> None:
    data = ready("phrases", num_phrases=200)
    source, target = Tokenizer.from_str(data.source_tokenizer), Tokenizer.from_str(data.target_tokenizer)
    for pair, references in data.train_dataloader():
        assert isinstance(pair, Pair)
        assert len(references) == len(pair.source.ids) == len(pair.target.ids) == 4
        for row, reference in enumerate(references):
            ids = pair.target.ids[row, : pair.target.lengths[row]].tolist()
            assert (ids[0], ids[-1]) == (target.token_to_id(BEGIN), target.token_to_id(END))
            assert target.decode(ids) == reference
            ids = pair.source.ids[row, : pair.source.lengths[row]].tolist()
            assert ids[-1] == source.token_to_id(END)
            assert (source.decode(ids), reference) in data.pairs
            assert {*pair.source.ids[row, pair.source.lengths[row] :].tolist()} <= {source.token_to_id(PAD)}
            assert {*pair.target.ids[row, pair.target.lengths[row] :].tolist()} <= {target.token_to_id(PAD)}


def test_batches_are_bucketed_by_length() -> None:
    data = ready("phrases", batch_size=64)
    real = padded = 0
    for pair, _ in data.train_dataloader():
        real += int(pair.source.lengths.sum() + pair.target.lengths.sum())
        padded += pair.source.ids.numel() + pair.target.ids.numel()
    assert padded < 1.25 * real


@pytest.mark.parametrize(
    ("name", "header", "options", "separator"),
    [
        ("pairs.tsv", "", {}, "\t"),
        ("pairs.txt.gz", "", {}, "\t"),
        ("pairs.tsv", "en\tzh", {"source": "en", "target": "zh"}, "\t"),
        ("pairs.csv", "en,zh", {"source": "en", "target": "zh"}, ","),
        ("pairs.csv", "", {"source": "0", "target": "1"}, ","),
    ],
)
def test_reads_a_table_of_pairs(place: Path, name: str, header: str, options: dict[str, Any], separator: str) -> None:
    data = ready(table(place / name, header, separator=separator), **options)
    assert data.pairs == list(zip(ENGLISH, CHINESE, strict=True))
    assert data.scoring == "zh"


def test_reads_a_table_the_other_way_round(place: Path) -> None:
    data = ready(table(place / "pairs.tsv"), source="1", target="0")
    assert data.pairs == list(zip(CHINESE, ENGLISH, strict=True))
    assert data.scoring == "13a"


def test_quotes_mean_nothing_in_a_table_with_tabs(place: Path) -> None:
    lines = [f'"{english(n)}" he said\t"{chinese(n)}' for n in range(30)]
    assert ready(write(place / "pairs.tsv", lines)).pairs[3] == ('"three" he said', '"三')


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_reads_two_parallel_files(place: Path, ending: str) -> None:
    path = write(place / f"corpus.en{ending}", ENGLISH)
    write(place / f"corpus.de{ending}", GERMAN)
    assert ready(path, target="de").pairs == list(zip(ENGLISH, GERMAN, strict=True))


@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_reads_a_folder_of_parallel_files_with_its_splits(place: Path, ending: str, val: str) -> None:
    for split, part in (("train", slice(40)), (val, slice(40, 50)), ("test", slice(50, 60))):
        write(place / f"{split}.en{ending}", ENGLISH[part])
        write(place / f"{split}.zh{ending}", CHINESE[part])
    data = ready(place, source="en", target="zh")
    assert [len(split) for split in splits(data)] == [40, 10, 10]
    assert sources(data, "test") == set(ENGLISH[50:])


def test_reads_a_folder_of_tables_with_its_splits(place: Path) -> None:
    table(place / "train.tsv")
    write(place / "test.tsv", ["a new sentence\t新的句子"])
    data = ready(place)
    assert len(splits(data).test) == 1
    assert len(splits(data).train) + len(splits(data).val) == 60


def test_a_sentence_with_several_translations_stands_in_one_split(place: Path) -> None:
    rows = [f"{source}\t{target}" for source in ENGLISH for target in ("一", "二", "三")]
    data = ready(write(place / "pairs.tsv", rows))
    parts = [sources(data, split) for split in ("train", "val", "test")]
    assert sum(map(len, parts)) == 60
    assert sum(len(split) for split in splits(data)) == 180


def test_sentences_found_in_training_and_test_are_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(place / "train.tsv")
    write(place / "test.tsv", [f"{ENGLISH[0]}\t{CHINESE[0]}", "a new sentence\t新的句子"])
    ready(place)
    assert "1 of the 2 examples of the test split are in the training split, too" in capsys.readouterr().err


def test_the_vocabulary_is_learned_from_the_training_split_only(place: Path) -> None:
    table(place / "train.tsv")
    write(place / "test.tsv", ["Xylophone\t木琴"])
    data = ready(place)
    target = Tokenizer.from_str(data.target_tokenizer)
    assert target.token_to_id("书") is not None
    assert target.token_to_id("琴") is None
    _, references = data.examples(splits(data).test)[torch.arange(1)]
    assert references == ["木琴"]  # what is compared with stays whole


def test_one_vocabulary_for_both_languages(place: Path) -> None:
    path = table(place / "pairs.tsv", targets=GERMAN)
    shared, apart = ready(path, shared_vocabulary=True), ready(path)
    assert shared.source_tokenizer == shared.target_tokenizer
    assert apart.source_tokenizer != apart.target_tokenizer
    assert Tokenizer.from_str(shared.source_tokenizer).token_to_id("ü") is not None


def test_long_sentences_are_cut_but_not_what_is_compared_with(place: Path) -> None:
    data = ready(table(place / "pairs.tsv"), max_length=5)
    pair, references = data.examples(torch.arange(60))[torch.arange(60)]
    assert pair.source.ids.shape[1] == 5
    assert pair.target.ids.shape[1] == 6
    assert references == CHINESE


def test_what_was_learned_is_restored(place: Path) -> None:
    path = table(place / "pairs.tsv")
    data = ready(path)
    other = Translation(str(path), batch_size=4)
    other.load_state_dict(data.state_dict())
    other.setup()
    ours, theirs = (part.examples(splits(part).test)[torch.arange(5)] for part in (data, other))
    torch.testing.assert_close(ours[0], theirs[0])
    assert ours[1] == theirs[1]
    assert other.scoring == "zh"


def test_input_is_a_sentence_a_line_in_its_order(place: Path) -> None:
    data = ready("phrases", num_phrases=100)
    data.set_input(write(place / "句子.txt.gz", ["two cats", "", "seven", "never-seen Ω words"]))
    assert data.predicted_names == ["two cats", "seven", "never-seen Ω words"]
    batch = next(iter(data.predict_dataloader()))
    tokenizer = Tokenizer.from_str(data.source_tokenizer)
    (order,) = data.predicted_batches
    first = order.tolist().index(0)
    assert tokenizer.decode(batch.ids[first, : batch.lengths[first]].tolist()) == "two cats"


@pytest.mark.parametrize(
    ("texts", "scoring"),
    [
        (GERMAN, "13a"),
        (CHINESE, "zh"),
        (["これは本です。", "私は学生です"], "char"),
        (["สวัสดี ครับ"], "char"),
        (["나는 책"], "13a"),
    ],
)
def test_the_script_decides_how_bleu_cuts(texts: list[str], scoring: str) -> None:
    assert scoring_of(texts) == scoring


def test_wrong_options_are_refused(refused: Any, place: Path) -> None:
    with refused("--data.source fr: phrases has en, zh"):
        ready("phrases", source="fr")
    with refused("--data.source en and --data.target en: expected two languages"):
        Translation(source="en", target="en")
    with refused("--data.vocab_size: expected at least 10, got 3"):
        Translation(vocab_size=3)
    with refused("--data.encoding utf-99: no such encoding"):
        Translation(encoding="utf-99")
    path = table(place / "pairs.tsv")
    with refused("--data.target zh", path, "no such column", ENGLISH[0]):
        ready(path, target="zh")
    table(place / "others.tsv")
    with refused(place, "expected train, val", "test files (.tsv", "found others.tsv, pairs.tsv"):
        ready(place)


def test_wrong_files_are_refused(refused: Any, place: Path) -> None:
    empty = place / "empty.tsv"
    empty.touch()
    with refused(empty, "the file is empty"):
        ready(empty)
    with refused(place / "ragged.tsv:3", "expected 2 fields as in the first line, found 1"):
        ready(write(place / "ragged.tsv", ["a\tb", "c\td", "e"]))
    with refused(place / "one.tsv:1", "expected a sentence and its translation"):
        ready(write(place / "one.tsv", ["a", "b"]))
    latin = write(place / "latin.tsv", ["a\tä"] * 20, "latin-1")
    with refused(latin, "byte 2 (0xe4) is not utf-8 text", "--data.encoding"):
        ready(latin)
    assert Translation(str(latin), encoding="latin-1").read().size == 20
    damaged = place / "damaged.tsv.gz"
    damaged.write_bytes(gzip.compress(b"a\tb\n" * 100)[:-9])
    with refused(damaged, "cannot be read"):
        ready(damaged)


def test_files_that_are_not_parallel_are_refused(refused: Any, place: Path) -> None:
    path = write(place / "train.en", ENGLISH)
    with refused(place / "train.de", "there is no such file"):
        ready(path, target="de")
    with refused(path, "expected a table (.tsv or .csv), or one of two parallel files"):
        ready(path)
    write(place / "train.de", GERMAN[:-1])
    with refused(place / "train.de", "expected 60 lines as in train.en, found 59"):
        ready(path, target="de")
    with refused(place, "has train.de and train.en; say with --data.source and --data.target"):
        ready(place)
    with refused(place, "expected train, val", ".fr", "found train.de, train.en"):
        ready(place, source="en", target="fr")
    write(place / "dev.en", ENGLISH)
    with refused(place, "found train.en and dev.en, but train.de: val is missing in one language"):
        ready(place, source="en", target="de")


def test_too_few_pairs_to_split_are_refused(refused: Any, place: Path) -> None:
    with refused("split is empty (2 examples in all)"):
        ready(write(place / "two.tsv", ["a\tb", "c\td"]), batch_size=1)


def write_multi30k(folder: Path) -> Path:
    for split, part in (("train", slice(40)), ("val", slice(40, 50)), ("test_2016_flickr", slice(50, 60))):
        for language, lines in (("en", ENGLISH), ("de", GERMAN), ("fr", CHINESE)):
            write(folder / f"{split}.{language}.gz", lines[part])
    return folder


@pytest.mark.parametrize("target", ["de", "fr"])
def test_multi30k_keeps_its_official_splits(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "mt" / "multi30k" / "task1" / "raw"
    folder.mkdir(parents=True)
    write_multi30k(folder)
    data = ready("Multi30k", root=str(tmp_path), target=target)
    assert [len(split) for split in splits(data)] == [40, 10, 10]
    assert sources(data, "test") == set(ENGLISH[50:])
    assert data.pairs[-1][1] == (GERMAN if target == "de" else CHINESE)[-1]


@pytest.mark.parametrize(("source", "first"), [(None, ENGLISH[0]), ("zh", CHINESE[0])])
def test_tatoeba_is_read_in_either_direction(tmp_path: Path, source: str | None, first: str) -> None:
    folder = tmp_path / "tatoeba_en_zh"
    folder.mkdir()
    rows = [f"{a}\t{b}\tCC-BY 2.0" for a, b in zip(ENGLISH, CHINESE, strict=True)]
    write(folder / "cmn.txt", rows)
    assert ready("Tatoeba", root=str(tmp_path), source=source).pairs[0][0] == first


def test_the_published_files_are_those_of_the_catalogue(shared_data: Path) -> None:
    remotes = Translation.published
    folders = {"Multi30k": "mt/multi30k/task1/raw", "Tatoeba": "mt/tatoeba_en_zh"}
    for name, folder in folders.items():
        for remote in remotes[name]:
            content = (shared_data / folder / remote.name).read_bytes()
            assert remote.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize(
    ("name", "line", "header"),
    [
        ("pairs.csv", '"{0}","{1}"', "en,de"),
        ("pairs.csv", '{2},"{0}","{1}"', "id,en,de"),
        ("pairs.csv", '"{0}","{1}",0.{2}', "source,target,score"),
        ("pairs.tsv", "{2}\t{0}\t9{2}\t{1}", None),  # Tatoeba's
        ("pairs.tsv", "1.0{2}\t{0}\t{1}", None),  # WikiMatrix'
        ("pairs.tsv", "en\t{0}\tde\t{1}", None),
        ("pairs.tsv", "{0}\t{1}", "English\tGerman"),
        ("pairs.tsv", "{0}\t{1}\tsomeone wrote it, {2}", None),
    ],
)
def test_the_columns_of_sentences_are_found(name: str, line: str, header: str | None, place: Path) -> None:
    lines = [line.format(*pair, row + 10) for row, pair in enumerate(zip(ENGLISH, GERMAN, strict=True))]
    file = write(place / name, [header, *lines] if header else lines)
    assert list(ready(file).pairs) == list(zip(ENGLISH, GERMAN, strict=True))


def test_a_first_pair_of_single_words_is_one(place: Path) -> None:
    file = write(
        place / "pairs.tsv", ["Hi.\tHallo.", "Run!\tLauf!", *map("\t".join, zip(ENGLISH, GERMAN, strict=True))]
    )
    assert ready(file).pairs[0] == ("Hi.", "Hallo.")


@pytest.mark.parametrize("parallel", [False, True])
def test_pairs_that_are_blank_on_one_side_are_left_out_and_counted(parallel: bool, place: Path) -> None:
    english, german = ["", *ENGLISH, "only", ""], ["nur", *GERMAN, " ", ""]
    if parallel:
        write(place / "corpus.en", english)
        file = write(place / "corpus.de", german)
        data = ready(place / "corpus.en", target="de")
    else:
        file = write(place / "pairs.tsv", list(map("\t".join, zip(english, german, strict=True))))
        data = ready(file)
    assert list(data.pairs) == list(zip(ENGLISH, GERMAN, strict=True))
    assert f"{file}: left out 2 pairs that are blank on one side, the first in line 1" in data.notes


@pytest.mark.parametrize(
    ("name", "line"), [("new.csv", '{1},"{0}","x"'), ("new.tsv", "{1}\t{0}\tx"), ("new.txt", "{0}")]
)
def test_the_sentences_of_an_input_are_found(name: str, line: str, place: Path) -> None:
    data = ready(table(place / "pairs.tsv"))
    lines = [line.format(sentence, row) for row, sentence in enumerate(ENGLISH[:5])]
    lines = ["id,en,de", *lines] if name == "new.csv" else lines
    assert list(data.read_input(write(place / name, lines))[1]) == ENGLISH[:5]
