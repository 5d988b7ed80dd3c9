from pathlib import Path

import pytest

from datamodules.errors import DataError
from datamodules.files.image_lists import ImageList, several_labels
from datamodules.files.splits import Note

EXPECTED = [("a.png", "cat"), ("b.png", "dog"), ("c.png", "cat")]


def listed(place: Path, text: str, name: str = "list.csv", folder: str = "", note: Note = print) -> ImageList:
    (place / folder).mkdir(parents=True, exist_ok=True)
    for file, _ in EXPECTED:
        (place / folder / file).touch()
    (place / name).write_text(text, encoding="utf-8")
    return ImageList(place / name, "utf-8", note)


def pairs(found: ImageList, target: str | int | None = None, multilabel: bool = False) -> list[tuple[str, str]]:
    return [(file.name, label) for file, label, _ in found.labelled(target, multilabel)]


@pytest.mark.parametrize("header", ["path{}label\n", ""])
@pytest.mark.parametrize(
    ("delimiter", "name"),
    [(",", "l.csv"), (";", "l.csv"), ("\t", "l.csv"), ("|", "l.csv"), ("\t", "l.tsv"), (" ", "l.txt"), (",", "l.txt")],
)
def test_any_usual_delimiter_separates_the_columns(header: str, delimiter: str, name: str, place: Path) -> None:
    text = header.format(delimiter) + "\n".join(f"{file}{delimiter}{label}" for file, label in EXPECTED)
    assert pairs(listed(place, text, name)) == EXPECTED


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("label,path\ncat,a.png\ndog,b.png\ncat,c.png", ""),
        ("cat,a.png\ndog,b.png\ncat,c.png", ""),
        (",path,label\n0,a.png,cat\n1,b.png,dog\n2,c.png,cat", "(no name)"),
        ("0,a.png,cat\n1,b.png,dog\n2,c.png,cat", "0"),
        ("path,width,label\na.png,9,cat\nb.png,8,dog\nc.png,9,cat", "width"),
        ("split,path,label\ntrain,a.png,cat\ntest,b.png,dog\ntrain,c.png,cat", ""),
        ("path,label,Usage\na.png,cat,Training\nb.png,dog,PublicTest\nc.png,cat,Training", ""),
        ("image_id,cat,dog\na.png,1,0\nb.png,0,1\nc.png,1,0", ""),
        ("image_id,cat,dog\na.png,1,-1\nb.png,-1,1\nc.png,1,-1", ""),
    ],
)
def test_columns_are_told_apart_by_what_is_in_them(text: str, left: str, place: Path) -> None:
    notes: list[str] = []
    assert pairs(listed(place, text, note=notes.append)) == EXPECTED
    assert [note for note in notes if "left out" in note] == (
        [f"{place / 'list.csv'}: left out the columns {left}"] if left else []
    )


@pytest.mark.parametrize(
    ("image", "folder"),
    [
        *(("{}", "train"), ("{}", ""), ("{}.png", "images"), ("train\\{}.png", "train"), ("{}", "data/images")),
        *(("../input/train/{}.png", "train"), ("C:\\data\\train\\{}.png", "train"), ("/content/{}.png", "train")),
    ],
)
def test_an_image_is_found_by_its_id_and_from_another_folder(image: str, folder: str, place: Path) -> None:
    lines = [f"{image.format(file.removesuffix('.png'))},{label}" for file, label in EXPECTED]
    assert pairs(listed(place, "\n".join(["id,breed", *lines]), folder=folder)) == EXPECTED


@pytest.mark.parametrize(("name", "folder"), [("labels.csv", "train"), ("test.csv", "test")])
def test_of_folders_with_the_same_ids_the_lists_split_decides(name: str, folder: str, place: Path) -> None:
    for each in ("train", "test"):
        found = listed(place, "id,label\na,cat\nb,dog\nc,cat", name, each)
    assert {file.parent.name for _, file in found.images()} == {folder}


def test_of_folders_with_the_same_ids_none_is_guessed(place: Path) -> None:
    listed(place, "id,label\na,cat\nb,dog\nc,cat", folder="one")
    with pytest.raises(DataError, match="a is in one and two; expected paths with the folder"):
        listed(place, "id,label\na,cat\nb,dog\nc,cat", folder="two")


def test_a_missing_image_is_not_that_of_its_name_in_another_folder(place: Path) -> None:
    (place / "cat").mkdir()
    (place / "cat" / "x.png").touch()
    found = listed(place, "path,label\ncat/x.png,cat\ncat/a.png,cat\ndog/b.png,dog", folder="dog")
    with pytest.raises(DataError, match=r"list.csv:3: there is no file .*cat/a\.png"):
        pairs(found)


def test_names_of_a_list_without_labels_are_those_in_it(place: Path) -> None:
    found = listed(place, "id\nc\na\nb", folder="test", name="test.csv")
    assert [name for name, _ in found.images()] == ["c", "a", "b"]
    assert [file.name for _, file in found.images()] == ["c.png", "a.png", "b.png"]


def test_what_is_not_clear_is_asked(place: Path) -> None:
    found = listed(place, "path,age,colour\na.png,1,red\nb.png,2,blue\nc.png,1,red")
    with pytest.raises(DataError, match=r"which column has the labels\? Give --data.target; there are age, colour"):
        pairs(found)
    assert [label for _, label in pairs(found, "colour")] == ["red", "blue", "red"]
    assert [label for _, label in pairs(found, 1)] == ["1", "2", "1"]
    with pytest.raises(DataError, match=r"--data.target size: .* it has path, age, colour"):
        pairs(found, "size")
    with pytest.raises(DataError, match="expected a column of labels beside path, found none"):
        pairs(listed(place, "path\na.png\nb.png\nc.png"))
    with pytest.raises(DataError, match="expected a column with paths or ids of images"):
        listed(place, "name,label\nx,cat\ny,dog\nz,cat")


def test_columns_of_several_labels_need_the_option(place: Path) -> None:
    text = "path,cat,dog\na.png,1,1\nb.png,0,0\nc.png,1,0"
    with pytest.raises(DataError, match=r"1 rows with several 1 and 1 rows with no 1; --data.multilabel true"):
        pairs(listed(place, text))
    assert pairs(listed(place, text), multilabel=True) == [("a.png", "cat\ndog"), ("b.png", ""), ("c.png", "cat")]


def test_several_labels_in_a_cell_are_noticed_where_they_stand_alone_elsewhere() -> None:
    assert several_labels({"cat|dog", "cat", "dog", "cow|dog", "cow|cat"}) == "cat|dog"
    assert several_labels({"Tops, red", "Tops, blue"}) is None
    assert several_labels({"red car", "car"}) is None


def test_columns_of_labels_that_are_names_of_images_too_are_not_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    for index in range(60):
        (tmp_path / "img" / f"{index}.png").touch()
    rows = [f"img/{index}.png,{index % 2},{index % 3 % 2}" for index in range(60)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,red,green", *rows]) + "\n")
    notes: list[str] = []
    found = [*ImageList(tmp_path / "labels.csv", "utf-8", notes.append).labelled(None, multilabel=True)]
    assert found[3][0] == tmp_path / "img" / "3.png"
    assert len(notes) == 1
    assert "columns red, green are read as labels" in notes[0]
