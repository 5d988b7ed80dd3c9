import gzip
from pathlib import Path
from typing import Any

import pytest

from datamodules.files.entities import Sentence
from datamodules.files.entity_files import infer_format, read_sentences
from datamodules.files.entity_layout import Layout

ANNA = ["Anna", "lives", "in", "Ulm", "."]
LI = ["Li", "#", "met", "2024", "New", "York"]
WORDS = [ANNA, LI, ANNA, LI]
ENTITIES = [[("Anna", "PER"), ("Ulm", "LOC")], [("Li", "PER"), ("New York", "LOC")]] * 2
TAGS = {"Anna": "B-PER", "Li": "B-PER", "Ulm": "B-LOC", "New": "B-LOC", "York": "I-LOC"}


def file_of(line: str, between: str = "\n", begin: str = "", words: Any = WORDS, **changes: str) -> str:
    """Each word as a line, from a template with {word}, {tag}, {n} in its sentence, {all} in the file, and {s}."""
    everything = iter(range(1, 1000))
    sentences = [
        "".join(
            line.format(word=word, tag=changes.get(tag, tag), n=n, all=next(everything), s=s, pos="NNP"[: 1 + n % 3])
            + "\n"
            for n, word in enumerate(sentence, start=1)
            for tag in [TAGS.get(word, "O")]
        )
        for s, sentence in enumerate(words, start=1)
    ]
    return begin + between.join(sentences)


def read(path: Path, tagged: bool = True, learned: Layout | None = None) -> tuple[list[Sentence], str]:
    layout, notes = infer_format(path, "utf-8", tagged, learned)
    return list(read_sentences(path, "utf-8", tagged, layout)), "; ".join(notes)


def words_of(sentences: list[Sentence]) -> list[list[str]]:
    return [[sentence.text[start:end] for start, end in sentence.words] for sentence in sentences]


def entities_of(sentences: list[Sentence]) -> list[list[tuple[str, str]]]:
    return [[(each.text[start:end], type_) for start, end, type_ in each.entities] for each in sentences]


SHAPES = {
    "two columns": (file_of("{word} {tag}"), ""),
    "CoNLL 2003": (
        file_of("{word} {pos} I-NP {tag}", begin="-DOCSTART- -X- O O\n\n"),
        "words are in column 1, tags in column 4; left out: 2, 3",
    ),
    "number in the sentence": (file_of("{n} {word} NN I-NP {tag}"), "words are in column 2, tags in column 5"),
    "number through the file": (
        file_of("{all}\t{word}\t{tag}"),
        "words are in column 2, tags in column 3; left out: 1",
    ),
    "number from 0": (file_of("{all}\t{word}\t{tag}").replace("1\tAnna\tB-PER\n2", "0\tAnna\tB-PER\n2", 1), ""),
    "CoNLL-U": (
        file_of(
            "{n}\t{word}\t_\t{pos}\t_\t_\t0\troot\t_\tSpaceAfter=No|NER={tag}",
            begin="# newdoc\n# sent_id = 1\n# text = Anna lives in Ulm.\n",
        ),
        "tags in column 10",
    ),
    "CoNLL-U Plus": (file_of("{n}\t{word}\t{tag}\t-\tannotator", begin="# global.columns = ID FORM NER\n"), "column 2"),
    "comments": (file_of("{word} {tag}", between="\n# id 12 domain=en\n"), ""),
    "comments with tabs": (file_of("{n}\t{word}\t{tag}", begin="#\thttp://x.org\t[2009-10-17]\n"), ""),
    "nested": (file_of("{word}\t{tag}\tO"), ""),
    "tag first": (file_of("{tag} {word}"), "words are in column 2, tags in column 1"),
    "part of speech first": (file_of("{pos} {word} {tag}"), "words are in column 2"),
    "commas": (file_of("{word},{tag}"), ""),
    "semicolons": (file_of("{word};{tag}"), ""),
    "Kaggle": (
        file_of("{word},{pos},{tag}", "", "Sentence #,Word,POS,Tag\n")
        .replace("Anna,", "Sentence: 1,Anna,")
        .replace("Li,", "Sentence: 2,Li,")
        .replace("\nlives", "\n,lives")
        .replace("\nin", "\n,in")
        .replace("\nUlm", "\n,Ulm")
        .replace("\n.,", "\n,.,")
        .replace("\n#", "\n,#")
        .replace("\nmet", "\n,met")
        .replace("\n2024", "\n,2024")
        .replace("\nNew", "\n,New")
        .replace("\nYork", "\n,York"),
        "the first line is a header",
    ),
    "pandas": (file_of("{all},{s},{word},{tag}", "", ",sentence_id,words,labels\n"), "the first line is a header"),
    "sentence number": (file_of("{s}\t{word}\t{tag}", ""), "a sentence ends where column 1 changes"),
    "number begins anew": (file_of("{n}\t{word}\t{tag}", ""), "a sentence ends where column 1 begins anew"),
    "documents only": (file_of("{word} {tag}", "-DOCSTART- (1 EU) O\n"), ""),
    "blank word ends": (file_of("{word}\t{tag}", "\tO\n"), ""),
    "underscores": (file_of("{word} {tag}", **{"B-PER": "B_PER", "B-LOC": "B_LOC", "I-LOC": "I_LOC"}), ""),
    "letter last": (file_of("{word} {tag}", **{"B-PER": "PER-B", "B-LOC": "LOC-B", "I-LOC": "LOC-I"}), ""),
    "types alone": (
        file_of("{word} {tag}", **{"B-PER": "PER", "B-LOC": "LOC", "I-LOC": "LOC"}),
        "tags without B or I: neighbouring words",
    ),
    "header of other names": (
        file_of("{word}\t{tag}", begin="Mot\tEtiquette\n"),
        "the first line is a header, Mot, Etiquette",
    ),
    "OntoNotes": (
        file_of(
            "bc/cctv/00\t0\t{n}\t{word}\t{pos}\t(NP*\t-\t-\t-\tme\t{tag}\t(ARG0*)\t-",
            begin="#begin document (bc/cctv/00); part 000\n",
            **{"O": "*", "B-PER": "(PER)", "B-LOC": "(LOC*", "I-LOC": "*)"},
        ).replace("Ulm\tNN\t(NP*\t-\t-\t-\tme\t(LOC*", "Ulm\tNN\t(NP*\t-\t-\t-\tme\t(LOC)"),
        "words are in column 4, tags in column 11",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_columns_of_every_shape_give_the_same_sentences(shape: str, place: Path) -> None:
    content, note = SHAPES[shape]
    path = place / "names.txt"
    path.write_text(content, encoding="utf-8")
    sentences, notes = read(path)
    assert words_of(sentences) == WORDS
    assert entities_of(sentences) == ENTITIES
    assert note in notes


def test_of_nested_tags_the_first_are_read_with_a_note(place: Path) -> None:
    path = place / "names.tsv"
    path.write_text("1\tUniversity\tB-ORG\tO\n2\tof\tI-ORG\tO\n3\tUlm\tI-ORG\tB-LOC\n\n" * 5, encoding="utf-8")
    sentences, notes = read(path)
    assert entities_of(sentences) == [[("University of Ulm", "ORG")]] * 5
    assert "columns 3, 4 have tags: only those of column 3 are read" in notes


def test_letters_alone_are_tags_of_one_type(place: Path) -> None:
    path = place / "train.tsv"
    path.write_text("adenomatous\tB\npolyposis\tI\ncoli\tI\ntumour\tO\n\n" * 5, encoding="utf-8")
    sentences, notes = read(path)
    assert entities_of(sentences) == [[("adenomatous polyposis coli", "entity")]] * 5
    assert "tags without a type: all are of the type entity" in notes


def test_phrases_alone_are_read_as_tags(place: Path) -> None:
    path = place / "chunks.txt"
    path.write_text("He PRP B-NP\nran VBD B-VP\n\n" * 5, encoding="utf-8")
    assert entities_of(read(path)[0]) == [[("He", "NP"), ("ran", "VP")]] * 5


@pytest.mark.parametrize("line", ["\u3000 O", "  O", "\u3000\tO", "\tO"])
def test_blank_words_are_left_out_and_counted(line: str, place: Path) -> None:
    path = place / "names.bio"
    mark = "\t" if "\t" in line else " "
    path.write_text(f"王{mark}B-PER\n{line}\n明{mark}I-PER\n\n你{mark}O\n", encoding="utf-8")
    sentences, _ = read(path)
    assert [sentence.text for sentence in sentences] == ["王明", "你"]
    assert [[*sentence.faults] for sentence in sentences] == [["blank"], []]
    path.write_text("Anna\tB-PER\n\t\tO\n" + "is\tO\n" * 30 + "\nUlm\tO\n", encoding="utf-8")
    assert words_of(read(path)[0])[0][:2] == ["Anna", "is"], "where a tab is the word"


def test_a_word_may_contain_the_delimiter(place: Path) -> None:
    path = place / "names.csv"
    path.write_text('Anna,B-PER\n,,O\n",",O\n"""",O\n",O\nUlm,B-LOC\n\n' * 5, encoding="utf-8")
    assert words_of(read(path)[0]) == [["Anna", ",", ",", '"', '"', "Ulm"]] * 5
    path = place / "names.txt"
    path.write_text("Anna B-PER\n0 800 O\n" + "is O\n" * 30, encoding="utf-8")
    assert words_of(read(path)[0])[0][:3] == ["Anna", "0 800", "is"]


def test_lines_of_several_words_and_of_none_are_left_out_and_counted(place: Path) -> None:
    path = place / "names.conllu"
    lines = [
        "# text = vámonos",
        "1-2\tvámonos\t_\tO",
        "1\tvamos\t_\tO",
        "2\tnos\t_\tO",
        "2.1\tx\t_\tO",
        "3\tUlm\t_\tB-LOC",
    ]
    path.write_text("\n".join([*lines, "", ""]) * 5, encoding="utf-8")
    sentences, _ = read(path)
    assert words_of(sentences) == [["vamos", "nos", "Ulm"]] * 5
    assert sentences[1].faults == ("comment", "range", "range")


def test_positions_at_the_end_of_words_are_left_out(place: Path) -> None:
    path = place / "weibo.train"
    path.write_text("李0\tB-PER\n雷1\tI-PER\n去0\tO\n30\tO\n21\tO\n\n" * 5, encoding="utf-8")
    sentences, notes = read(path)
    assert sentences[0].text == "李雷去32"
    assert "each word ends in a number" in notes
    path.write_text("A4 O\nB2 B-x\n\n" * 5, encoding="utf-8")
    assert words_of(read(path)[0])[0] == ["A4", "B2"]


def test_without_an_empty_line_sentences_end_at_full_stops(place: Path, refused: Any) -> None:
    path = place / "names.bio"
    one = 'St B-LOC\n. I-LOC\nLouis I-LOC\nis O\nfar O\n. O\n" O\n'
    path.write_text(one * 5, encoding="utf-8")
    sentences, notes = read(path)
    assert words_of(sentences) == [["St", ".", "Louis", "is", "far", ".", '"']] * 5
    assert "no line is empty: cut after 10 full stops" in notes
    path.write_text("Ulm B-LOC\nis O\n" * 300, encoding="utf-8")
    with refused("no line is empty and no word is a full stop: its 600 words would be one sentence"):
        read(path)
    path.write_text("Ulm B-LOC\nis O\nnice O\n. O\n", encoding="utf-8")
    sentences, notes = read(path)
    assert (len(sentences), notes) == (1, "")


@pytest.mark.parametrize(
    ("train", "input_"),
    [
        ("{n} {word} NN I-NP {tag}", "{n} {word} NN I-NP"),
        ("{n} {word} NN I-NP {tag}", "{n} {word} NN I-NP {tag}"),
        ("{n} {word} NN I-NP {tag}", "{word} NN I-NP {tag}"),
        ("{n} {word} NN I-NP {tag}", "{word}"),
        ("{tag}\t{word}", "{word}"),
        ("{tag}\t{word}", "{tag}\t{word}"),
        ("{word} {pos} {tag}", "{word} {pos}"),
        ("{word} {tag}", "{word}"),
        ("{n}\t{word}\t{tag}", "{n}\t{word}"),
        ("{s}\t{word}\t{tag}", "{s}\t{word}"),
        ("{tag} {word} {pos}", "{tag} {word}"),
    ],
)
def test_prediction_finds_the_words_as_training_did(train: str, input_: str, place: Path) -> None:
    path = place / "train.conll"
    path.write_text(file_of(train), encoding="utf-8")
    layout, _ = infer_format(path, "utf-8")
    path = place / "new.conll"
    path.write_text(file_of(input_), encoding="utf-8")
    assert words_of(read(path, False, layout)[0]) == WORDS
    path.write_text(file_of(input_, words=[["2024", "1", "7"]]), encoding="utf-8")
    assert words_of(read(path, False, layout)[0]) == [["2024", "1", "7"]], "whatever the other lines are"


def test_a_header_that_training_had_is_found_in_prediction(place: Path) -> None:
    path = place / "train.csv"
    path.write_text(file_of("{s},{word},{pos},{tag}", "", "sentence_id,words,pos,labels\n"), encoding="utf-8")
    layout, _ = infer_format(path, "utf-8")
    path = place / "new.csv"
    path.write_text(file_of("{s},{word}", "", "sentence_id,words\n"), encoding="utf-8")
    assert words_of(read(path, False, layout)[0]) == WORDS


@pytest.mark.parametrize(
    ("content", "is_words"),
    [
        ("Anna\nlives\n\nLi\nmet\n", True),
        ("Anna lives\nLi met\n", False),
        ("李\n雷\n去\n", True),
        ("李雷去了\n\n下雨了\n", False),
        ("Anna\n\nLi\n\n", False),
        ("1\tAnna\n2\tlives\n\n1\tLi\n2\tmet\n", True),
        ("1\tAnna lives\n2\tLi met\n", False),
    ],
)
def test_a_text_file_is_words_only_if_its_lines_say_so(content: str, is_words: bool, place: Path) -> None:
    path = place / "new.txt.gz"
    path.write_bytes(gzip.compress(content.encode()))
    learned = Layout(3, 1, 2, running=0) if "\t" in content else Layout()
    sentences, notes = read(path, False, learned)
    assert ("a word on each line" in notes) == is_words
    assert (len(sentences[0].words) > 1) == is_words


def test_the_column_of_sentences_is_that_of_training_however_short_the_file(place: Path) -> None:
    path = place / "train.conll"
    path.write_text(file_of("s{s} {word} {tag}", ""), encoding="utf-8")
    layout, _ = infer_format(path, "utf-8")
    path.write_text("s1 Anna\ns1 lives\ns2 Li\n", encoding="utf-8")
    assert words_of(read(path, False, layout)[0]) == [["Anna", "lives"], ["Li"]]
