import gzip
import hashlib
import io
import os
import shutil
import socket
import stat
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datamodules import base
from datamodules.graphs import GraphClasses
from datamodules.storage import locks
from datamodules.storage.catalogue import Remote
from datamodules.storage.download import DataError, download, find_folders, unpack
from tests.helpers.all_datamodules import DATAMODULES
from tests.helpers.archives import zipped

CONTENT = b"0123456789" * 5000


@dataclass
class Site:
    """A web site on this machine.

    Args:
        address: `http://127.0.0.1:PORT/`
        answers: the handler of each path.
        requests: the requested paths.
    """

    address: str
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]]
    requests: list[str] = field(default_factory=list)


def sends(
    content: bytes, announced: int | None = None, after: threading.Event | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        assert after is None or after.wait(30)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) if announced is None else announced))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def breaks_off_in_a_chunk(handler: BaseHTTPRequestHandler) -> None:
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"ff\r\nonly this")
    handler.close_connection = True


def leads_to(address: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", address)
        handler.end_headers()

    return answer


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            answer = served.answers.get(self.path)
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Site(f"http://127.0.0.1:{server.server_port}/", {})
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.suffix != ".lock")


@pytest.mark.parametrize(
    "checksum",
    [None, f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", f"md5:{hashlib.md5(CONTENT).hexdigest()}"],
)
def test_a_complete_file_arrives_under_its_name(site: Site, place: Path, checksum: str | None) -> None:
    site.answers["/a/file.bin"] = sends(CONTENT)
    file = download(Remote(site.address + "a/file.bin", checksum), place / "new")
    assert file == place / "new" / "file.bin"
    assert file.read_bytes() == CONTENT
    assert left_in(place / "new") == ["file.bin"]


def test_an_existing_file_is_not_requested_again(site: Site, tmp_path: Path) -> None:
    site.answers["/file.bin"] = sends(CONTENT)
    remote = Remote(site.address + "file.bin")
    download(remote, tmp_path)
    download(remote, tmp_path)
    assert site.requests == ["/file.bin"]


def test_another_content_than_published_is_refused_and_nothing_left(site: Site, tmp_path: Path, refused: Any) -> None:
    site.answers["/file.bin"] = sends(CONTENT[:-1] + b"X")
    expected = hashlib.sha256(CONTENT).hexdigest()
    found = hashlib.sha256(CONTENT[:-1] + b"X").hexdigest()
    with refused(site.address + "file.bin", expected, found, "run again"):
        download(Remote(site.address + "file.bin", f"sha256:{expected}"), tmp_path)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("answer", [sends(CONTENT[:100], announced=50_000), breaks_off_in_a_chunk, None])
def test_a_download_that_fails_leaves_nothing_and_says_what_to_do(
    answer: Callable[[BaseHTTPRequestHandler], None] | None, site: Site, tmp_path: Path, refused: Any
) -> None:
    if answer:
        site.answers["/file.bin"] = answer
    with refused(f"cannot download {site.address}file.bin", tmp_path, "--data.root"):
        download(Remote(site.address + "file.bin"), tmp_path)
    assert left_in(tmp_path) == []


def test_an_address_that_cannot_be_reached_is_named_with_the_folder(tmp_path: Path, refused: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with refused(f"cannot download http://127.0.0.1:{port}/file.bin", tmp_path, "--data.root"):
        download(Remote(f"http://127.0.0.1:{port}/file.bin"), tmp_path)
    assert left_in(tmp_path) == []


def test_an_unencrypted_address_is_refused_without_a_request(
    tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*args: object, **options: object) -> None:
        raise AssertionError("a request was made")

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", opened)
    with refused("http://example.com/file.bin", "only https"):
        download(Remote("http://example.com/file.bin"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_redirection_is_followed_but_not_to_an_unencrypted_address(
    site: Site, tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.answers |= {
        "/old": leads_to(site.address + "new"),
        "/new": sends(CONTENT),
        "/out": leads_to("http://other.invalid/"),
    }
    assert download(Remote(site.address + "old"), tmp_path).read_bytes() == CONTENT
    with refused("http://other.invalid/", "only https"):
        download(Remote(site.address + "out"), tmp_path)
    assert left_in(tmp_path) == ["old"]


def test_two_that_download_at_once_make_one_request(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()  # one of the two for the other

    def sleep(seconds: float) -> None:
        waits.set()
        time.sleep(seconds)

    monkeypatch.setattr(locks, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    site.answers["/file.bin"] = sends(CONTENT, after=waits)
    found: list[bytes] = []

    def fetch() -> None:
        found.append(download(Remote(site.address + "file.bin"), tmp_path).read_bytes())

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT, CONTENT]
    assert site.requests == ["/file.bin"]


def tarred(names: dict[str, bytes], link: str | None = None, type_: bytes = tarfile.SYMTYPE) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = type_, link
            archive.addfile(member)
    return packed.getvalue()


@pytest.mark.parametrize("packed", [zipped, tarred])
def test_an_archive_is_unpacked_once(packed: Callable[..., bytes], place: Path) -> None:
    (place / "archive").write_bytes(packed({"a/one.txt": b"1", "a/b/二.txt": b"2"}))
    unpack(place / "archive", place / "out")
    assert (place / "out" / "a" / "one.txt").read_bytes() == b"1"
    assert (place / "out" / "a" / "b" / "二.txt").read_bytes() == b"2"
    (place / "archive").unlink()
    unpack(place / "archive", place / "out")
    assert left_in(place) == ["a", "b", "one.txt", "out", "二.txt"]


@pytest.mark.parametrize(
    ("content", "member"),
    [
        (zipped({"fine.txt": b"1", "../out.txt": b"2"}), "../out.txt"),
        (zipped({"a/../../out.txt": b"2"}), "a/../../out.txt"),
        (zipped({"/tmp/out.txt": b"2"}), "/tmp/out.txt"),
        (zipped({"..\\out.txt": b"2"}), "out.txt"),
        (zipped({"fine.txt": b"1"}, link="../secret"), "link"),
        (tarred({"fine.txt": b"1", "../out.txt": b"2"}), "../out.txt"),
        (tarred({"/tmp/out.txt": b"2"}), "/tmp/out.txt"),
        (tarred({"fine.txt": b"1"}, link="../secret"), "link"),
        (tarred({"fine.txt": b"1"}, link="fine.txt", type_=tarfile.LNKTYPE), "link"),
    ],
)
def test_an_archive_that_reaches_outside_is_refused_and_nothing_unpacked(
    content: bytes, member: str, tmp_path: Path, refused: Any
) -> None:
    archive = tmp_path / "in" / "archive"
    archive.parent.mkdir()
    archive.write_bytes(content)
    with refused(f"{archive}: refused", member):
        unpack(archive, tmp_path / "in" / "out")
    assert left_in(tmp_path) == ["archive", "in"]


NOISE = "".join(hashlib.sha256(bytes([value])).hexdigest() for value in range(200)).encode()


@pytest.mark.parametrize("complete", [zipped({"a.txt": NOISE}), tarred({"a.txt": NOISE})])
@pytest.mark.parametrize("damage", ["cut", "changed early", "changed late", "empty", "not an archive"])
def test_a_damaged_archive_is_named_and_nothing_unpacked(
    complete: bytes, damage: str, tmp_path: Path, refused: Any
) -> None:
    middle = len(complete) // 2
    content = {
        "cut": complete[:middle],
        "changed early": complete[:36] + b"\xff" * 40 + complete[76:],
        "changed late": complete[:middle] + b"\xff" * 40 + complete[middle + 40 :],
        "empty": b"",
        "not an archive": b"<html>not found</html>",
    }[damage]
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    with refused(f"{archive}: a damaged archive", "run again"):
        unpack(archive, tmp_path / "out")
    assert left_in(tmp_path) == ["archive"]


@pytest.mark.parametrize("where", ["", "Cora", "cora/raw", "planetoid/CORA", "graph/planetoid/cora/raw"])
@pytest.mark.parametrize("written", ["a.gz", "a"])
def test_a_data_set_is_found_whatever_collection_it_is_in(where: str, written: str, tmp_path: Path) -> None:
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    (tmp_path / where / written).touch()
    (tmp_path / where / "b").touch()
    assert [*find_folders(tmp_path, ["Cora"], ["a.gz", "b"])] == [tmp_path / where]
    assert [*find_folders(tmp_path, ["Cora"], ["a.gz", "b", "c"])] == []


RINGS = {
    "MUTAG/MUTAG_A.txt": b"".join(b"%d, %d\n%d, %d\n" % (n, n + 1, n + 1, n) for n in range(1, 40, 2)),
    "MUTAG/MUTAG_graph_indicator.txt": b"".join(b"%d\n%d\n" % (n, n) for n in range(1, 21)),
    "MUTAG/MUTAG_graph_labels.txt": b"1\n-1\n" * 10,
}


@pytest.fixture
def publisher(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site from which MUTAG comes."""
    site.answers["/MUTAG.zip"] = sends(zipped(RINGS))
    monkeypatch.setattr(GraphClasses, "published", {"MUTAG": (Remote(site.address + "MUTAG.zip"),)})
    return site


def read(root: Path) -> int:
    return GraphClasses("MUTAG", root=str(root), batch_size=1).read().size


def test_a_published_data_set_is_downloaded_into_the_root_once(publisher: Site, place: Path) -> None:
    assert [read(place), read(place)] == [20, 20]
    assert publisher.requests == ["/MUTAG.zip"]
    assert [child.name for child in place.iterdir()] == ["MUTAG"]


def test_what_was_downloaded_is_found_again_where_nothing_can_be_written(
    publisher: Site, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(place)
    monkeypatch.setattr(os, "access", lambda *args: False)
    monkeypatch.setattr(base, "DATA_FOLDER", tmp_path / "elsewhere")
    assert read(place) == 20
    assert not (tmp_path / "elsewhere").exists()


def test_a_root_that_cannot_be_written_is_left_alone(
    publisher: Site, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *args: False)
    monkeypatch.setattr(base, "DATA_FOLDER", tmp_path / "elsewhere")
    assert read(place) == 20
    assert list(place.iterdir()) == []
    assert (tmp_path / "elsewhere" / "MUTAG" / "MUTAG.zip").is_file()


def test_an_archive_that_someone_put_into_the_folder_needs_no_network(publisher: Site, place: Path) -> None:
    (place / "MUTAG").mkdir()
    (place / "MUTAG" / "MUTAG.zip").write_bytes(zipped(RINGS))
    assert read(place) == 20
    assert publisher.requests == []


def test_a_download_of_something_else_is_refused(publisher: Site, place: Path, refused: Any) -> None:
    publisher.answers["/MUTAG.zip"] = sends(zipped({"readme.txt": b"moved"}))
    with refused(place / "MUTAG", "has no MUTAG_A.txt"):
        read(place)


def test_every_published_file_comes_over_an_encrypted_connection() -> None:
    remotes = [remote for cls in DATAMODULES for files in cls.published.values() for remote in files]
    assert len(remotes) > 80
    assert all(remote.url.startswith("https://") and remote.name for remote in remotes)


def test_a_packed_file_of_bytes_may_be_damaged(tmp_path: Path) -> None:
    from datamodules.files.images import read_idx

    packed = gzip.compress(b"\0\0\x08\x01\0\0\0\x04abcd")
    (tmp_path / "whole.gz").write_bytes(packed)
    assert bytes(read_idx(tmp_path / "whole").tolist()) == b"abcd"
    for damaged in (packed[:-9], packed[:12] + b"\xff\xff\xff" + packed[15:], b"", gzip.compress(b"\0\0\x08\x03\0")):
        (tmp_path / "bad.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="bad"):
            read_idx(tmp_path / "bad")


def permissions(path: Path) -> tuple[int, str]:
    return path.stat().st_gid, f"{stat.S_IMODE(path.stat().st_mode):o}"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[int]:
    """The group of tmp_path, another than this process has, under a umask that shares nothing."""
    if not hasattr(os, "chown"):
        pytest.skip("a system without groups")
    other = next((each for each in (12345, *os.getgroups()) if each != os.getgid()), None)
    try:
        os.chown(tmp_path, -1, other if other is not None else -1)
    except PermissionError:
        pytest.skip("this user may give nothing to another group")
    before = os.umask(0o077)
    yield tmp_path.stat().st_gid
    os.umask(before)


@pytest.mark.parametrize(("mode", "of_folder", "of_file"), [(0o2775, "2770", "660"), (0o750, "750", "640")])
def test_what_a_shared_folder_gets_is_shared_with_its_group(
    mode: int, of_folder: str, of_file: str, group: int, site: Site, tmp_path: Path
) -> None:
    tmp_path.chmod(mode)
    site.answers["/x.zip"] = sends(zipped({"inside/a.txt": b"a"}))
    archive = download(Remote(site.address + "x.zip"), tmp_path / "set")
    unpack(archive, tmp_path / "set" / "raw")
    for folder in ("set", "set/raw", "set/raw/inside"):
        assert permissions(tmp_path / folder) == (group, of_folder)
    for file in ("set/x.zip", "set/raw/inside/a.txt", "set/.x.zip.lock"):
        assert permissions(tmp_path / file) == (group, of_file)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, "644"), (0o077, "600")])
def test_what_is_downloaded_and_unpacked_has_the_users_permissions(
    mask: int, mode: str, site: Site, tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.txt")
        member.mode, member.size = 0o400, 1  # of whoever packed it
        archive.addfile(member, io.BytesIO(b"a"))
    site.answers["/x.tar.gz"] = sends(packed.getvalue())
    (tmp_path / "own").mkdir(mode=0o700)
    before = os.umask(mask)
    try:
        file = download(Remote(site.address + "x.tar.gz"), tmp_path / "own" / "set")
        unpack(file, tmp_path / "own" / "raw")
    finally:
        os.umask(before)
    assert permissions(file)[1] == permissions(tmp_path / "own" / "raw" / "a.txt")[1] == mode


def test_folders_of_others_under_root_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a_private", "b/MUTAG"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "b" / "MUTAG" / "x").touch()
    (tmp_path / "a_private").chmod(0)
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:  # as for a user, also where root runs the tests
        if folder.name == "a_private":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert [*find_folders(tmp_path, ["MUTAG"], ["x"])] == [tmp_path / "b" / "MUTAG"]
    (tmp_path / "a_private").chmod(0o700)


@pytest.mark.needs("getuid", "fork")
def test_folders_that_another_user_may_not_even_look_at_are_passed_over(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    place = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folders are closed to others
    try:
        for name in ("a/MUTAG", "b/MUTAG"):
            (place / name).mkdir(parents=True)
            (place / name / "x").touch()
        (place / "a" / "MUTAG").chmod(0o600)
        place.chmod(0o755)
        process = os.fork()
        if process == 0:
            os.setuid(65534)
            os._exit(0 if [*find_folders(place, ["MUTAG"], ["x"])] == [place / "b" / "MUTAG"] else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    finally:
        shutil.rmtree(place)


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }


def test_a_download_changes_nothing_that_was_in_the_root(publisher: Site, place: Path) -> None:
    for name in ("PROTEINS/PROTEINS_A.txt", "MUTAG/notes.txt", "notes.txt"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text("mine")
    before = contents(place)
    assert read(place) == 20
    after = contents(place)
    assert {path for path in before if after.get(path) != before[path]} == {place / "MUTAG"}  # which has new files
    assert {path.relative_to(place).parts[0] for path in after.keys() - before.keys()} == {"MUTAG"}


def test_nothing_is_written_where_a_data_set_is_found(publisher: Site, place: Path) -> None:
    for name, content in RINGS.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    before = contents(place)
    assert read(place) == 20
    assert contents(place) == before
    assert publisher.requests == []


def test_what_cannot_be_checked_is_what_the_readme_says() -> None:
    unchecked = {
        (name, remote.name)
        for cls in DATAMODULES
        for name, remotes in cls.published.items()
        for remote in remotes
        if remote.checksum is None and "graphkerneldatasets" not in remote.url
    }
    assert unchecked == {
        *(("PubMed", "ind.pubmed.allx"), ("THUCNews", "train.txt")),
        *(("ETTm1", "ETTm1.csv"), ("ETTm2", "ETTm2.csv")),
    }
