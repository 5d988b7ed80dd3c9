"""Archives for the tests that unpack them."""

import io
import stat
import zipfile


def zipped(names: dict[str, bytes], link: str | None = None, at: str = "link") -> bytes:
    """A ZIP archive with these members, and perhaps a link, `at` its name, to a path."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
        if link:
            member = zipfile.ZipInfo(at)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, link)
    return packed.getvalue()
