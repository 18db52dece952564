"""Media types by name, and by content where the name says nothing. Expectations are pinned: libraries differ."""

import io
import mimetypes
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onitufs.content.media_type import UNKNOWN, media_type


def zipped(*members: tuple[str, str]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in members:
            archive.writestr(name, text)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"report.pdf", "application/pdf"),
        (b"REPORT.PDF", "application/pdf"),
        (b"letter.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"letter.odt", "application/vnd.oasis.opendocument.text"),
        (b"photo.JPeG", "image/jpeg"),
        (b"photo.webp", "image/webp"),
        (b"photo.heic", "image/heic"),
        (b"film.mkv", "video/x-matroska"),
        (b"song.mp3", "audio/mpeg"),
        (b"book.epub", "application/epub+zip"),
        (b"notes.md", "text/markdown"),
        (b"table.csv", "text/csv"),
        (b"script.py", "text/x-python"),
        (b"source.tar.gz", "application/gzip"),
        (b"\xff\xfe.pdf", "application/pdf"),
        (b"a.b.c.txt", "text/plain"),
        (b"no extension", UNKNOWN),
        (b".pdf", UNKNOWN),  # a hidden file of that name, not an extension
        (b"x.unheardof", UNKNOWN),
        (b"trailing.", UNKNOWN),
        (b"", UNKNOWN),
    ],
)
def test_by_name(name: bytes, expected: str) -> None:
    assert media_type(name) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "application/gzip"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
        (b"fLaC\0\0\0\x22", "audio/flac"),
        (b"plain words, one per line\n", "text/plain"),
        ("schön\n".encode() * 900, "text/plain"),
        ("ü".encode() * 2048 + b"\xc3", "text/plain"),  # cut in the middle of a letter
        (b"\0" * 100, UNKNOWN),
        (b"\x80\x81\x82\x83" * 10, UNKNOWN),
        (b"", UNKNOWN),
        (zipped(("a.txt", "a")), "application/zip"),
        (
            zipped(("[Content_Types].xml", "<x/>"), ("word/document.xml", "x")),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            zipped(("[Content_Types].xml", "<x/>"), ("xl/workbook.xml", "x")),
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        (
            zipped(("mimetype", "application/vnd.oasis.opendocument.text"), ("content.xml", "x")),
            "application/vnd.oasis.opendocument.text",
        ),
        (zipped(("mimetype", "application/epub+zip")), "application/epub+zip"),
        (zipped(("mimetype", "no such\nthing")), "application/zip"),
    ],
)
def test_by_content_without_a_telling_name(head: bytes, expected: str) -> None:
    assert media_type(b"download", head) == expected
    assert media_type(b"download.part", head) == expected


def test_the_name_goes_first() -> None:
    """A text that happens to begin like a PDF is what its owner calls it."""
    assert media_type(b"notes.txt", b"%PDF-1.4") == "text/plain"


@given(st.binary(max_size=50), st.binary(max_size=200))
def test_no_name_and_no_content_is_too_strange(name: bytes, head: bytes) -> None:
    kind, slash, rest = media_type(name, head).partition("/")
    assert kind
    assert slash
    assert rest
    assert media_type(name, head) == media_type(name, head).lower()


def test_the_machine_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's mime.types differs from machine to machine; a rule must not."""
    monkeypatch.setattr(mimetypes, "guess_type", lambda *args, **more: ("application/of-this-machine", None))
    monkeypatch.setattr(mimetypes, "_db", mimetypes.MimeTypes())
    mimetypes.add_type("application/of-this-machine", ".unheardof")
    assert media_type(b"x.unheardof") == UNKNOWN
