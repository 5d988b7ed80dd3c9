"""Download and unpack published files, completely or not at all, and once for all processes.

torch.hub's downloader and pooch were considered instead: neither locks, limits redirects to https, or refuses archives
with links; torch.hub's keeps a truncated file without a checksum, knows no md5 and has no timeout.
"""

import hashlib
import http.client
import os
import tarfile
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator
from os.path import isdir, isfile  # false if access is denied, where Path raises an error
from pathlib import Path
from typing import IO

from datamodules.errors import DataError as DataError  # some import it from here
from datamodules.storage.atomic_file import temporary_path, with_retries
from datamodules.storage.catalogue import Remote
from datamodules.storage.locks import exclusive
from datamodules.storage.permissions import make_folder, share, share_all

TIMEOUT = 60  # seconds without a byte


def project_folder() -> Path:
    """The clone that this file is in; where the project is installed without one, the current folder."""
    clone = Path(__file__).resolve().parents[2]
    return clone if (clone / "pyproject.toml").exists() else Path.cwd()


DATA_FOLDER = project_folder() / "data"  # where published data sets are kept by default


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        try:
            _require_https(newurl)
        except DataError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _require_https(url: str) -> None:
    address = urllib.parse.urlsplit(url)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise DataError(f"{url}: refused, since only https addresses are trusted")


def find_folders(root: Path, names: Iterable[str], files: Iterable[str]) -> Iterator[Path]:
    """The folders under `root` that may contain a data set, whatever collection it is in.

    Looks for folders with one of the names, up to three levels down, that contain all the files themselves or in a
    folder `raw`; and for the files in the root. Nothing is written.
    """
    required = list(files)
    lower = {name.lower() for name in names}
    level = [root]
    for _ in range(4):
        for folder in level:
            if folder.name.lower() in lower or folder == root:
                for place in (folder, folder / "raw"):
                    if all(isfile(place / file) or isfile((place / file).with_suffix("")) for file in required):
                        yield place
        level = [child for folder in level for child in _folders_in(folder)]


def _folders_in(folder: Path) -> list[Path]:
    """The folders in a folder; none in one that this user may not read, since root may contain other users'."""
    try:
        return [child for child in sorted(folder.iterdir()) if isdir(child)]
    except OSError:
        return []


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def download(remote: Remote, folder: Path) -> Path:
    """Download one file into the folder, and check it before it gets its name.

    Several processes may call this at once: one downloads the file, the others wait for it.

    Raises:
        DataError: the address cannot be reached, or the content is not what its publisher states.
    """
    target = folder / remote.name
    if target.exists():
        return target
    _require_https(remote.url)
    make_folder(folder)
    with exclusive(folder / f".{remote.name}.lock"):
        if target.exists():
            return target
        temporary = temporary_path(target)
        try:
            with temporary.open("xb") as file:
                _receive(remote.url, file)
            if remote.checksum:
                algorithm, expected = remote.checksum.split(":")
                found = _digest(temporary, algorithm)
                if found != expected:
                    raise DataError(
                        f"{remote.url}: the {algorithm} of what arrived is {found}, expected {expected}; "
                        f"run again to download it anew"
                    )
            share(temporary)
            with_retries(lambda: temporary.replace(target))
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            reason = getattr(error, "reason", error)
            raise DataError(
                f"cannot download {remote.url} ({reason}); put the file into {folder}, or give --data.root, "
                f"the folder where you keep data sets"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
    return target


def _receive(url: str, file: IO[bytes]) -> None:
    opener = urllib.request.build_opener(_HttpsOnly)
    request = urllib.request.Request(url, headers={"User-Agent": "lightning-template"})
    with opener.open(request, timeout=TIMEOUT) as response:
        expected = response.headers.get("Content-Length")
        received = 0
        while block := response.read(1 << 20):
            file.write(block)
            received += len(block)
        file.flush()
        os.fsync(file.fileno())
    if expected is not None and received != int(expected):
        raise ConnectionError(f"the connection ended after {received} of {expected} bytes")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into the folder, which is created when it is complete.

    Raises:
        DataError: the archive is damaged, or a member would leave the folder or is a link.
    """
    if folder.exists():
        return
    make_folder(folder.parent)
    with exclusive(folder.parent / f".{folder.name}.lock"):
        if folder.exists():
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            inside = Path(name) / folder.name
            inside.mkdir()
            try:
                if zipfile.is_zipfile(archive):
                    _unpack_zip(archive, inside)
                else:
                    _unpack_tar(archive, inside)
            except DataError:
                raise
            except Exception as error:  # zipfile and tarfile raise errors of many types
                raise DataError(f"{archive}: a damaged archive ({error}); delete it and run again") from None
            os.replace(inside, folder)
            share_all(folder)


def _refuse_outside(archive: Path, member: str) -> None:
    parts = Path(member.replace("\\", "/")).parts
    if ".." in parts or Path(member).is_absolute():
        raise DataError(f"{archive}: refused, since its member {member} would leave the folder")


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            _refuse_outside(archive, member.filename)
            if (member.external_attr >> 16) & 0o170000 == 0o120000:
                raise DataError(f"{archive}: refused, since its member {member.filename} is a link")
        content.extractall(folder)


def _by_umask(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """A member that cannot leave the folder, with permissions by the user's umask."""
    return tarfile.data_filter(member, folder).replace(mode=None, deep=False)  # type: ignore[arg-type]


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as content:
        for member in content.getmembers():
            _refuse_outside(archive, member.name)
            if not (member.isfile() or member.isdir()):
                raise DataError(f"{archive}: refused, since its member {member.name} is a link or a device")
        content.extractall(folder, filter=_by_umask)
        assert content.fileobj is not None
        while content.fileobj.read(1 << 20):  # to the end, where gzip's checksum is
            pass
