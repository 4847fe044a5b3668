"""How a text file is encoded, and whether it is text at all."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from backend.errors import InvalidInputError

_HEAD = 65_536
_BLOCK = 1 << 20

# The longer mark first: UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BINARY = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Office document (.xls, .doc)"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"(\xb5/\xfd", "a Zstandard archive"),
)
_CONTROL = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"
# Bytes without meaning are 11 in 100 of a compressed or random file; a text has a stray one.
_MOST_CONTROL = 0.05

_HINT = "Save it as CSV, TSV, JSON, JSONL, Parquet or XLSX and import that."


def text_encoding(path: Path, name: str) -> str:
    """The encoding to open a text file with.

    UTF-16 is told by its mark or by where its zero bytes stand. What is not UTF-8 is read as
    Windows' Latin-1, unless it is plainly UTF-8 with a few broken bytes.

    Raises:
        InvalidInputError: the file is empty or is not text.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if not head.strip():
        raise InvalidInputError(f"{name} is empty.", "Import a file with a header and at least one row.")
    for magic, what in _BINARY:
        if head.startswith(magic):
            raise InvalidInputError(f"{name} is not text: it is {what}.", _HINT)
    if (wide := _utf16(head)) is not None:
        return wide
    encoding = _narrow(path)
    control = len(head) - len(head.translate(None, _CONTROL))
    if control > max(1, len(head) * _MOST_CONTROL) and (encoding != "utf-8" or control * 2 > len(head)):
        raise InvalidInputError(f"{name} is not text.", _HINT)
    return encoding


def _utf16(head: bytes) -> str | None:
    """UTF-16 without a mark: nearly every other byte of western text is zero."""
    even, odd = head[0::2], head[1::2]
    if len(odd) < 2:
        return None
    zeros = even.count(0) / len(even), odd.count(0) / len(odd)
    if zeros[1] > 0.4 and zeros[0] < 0.05:
        return "utf-16-le"
    if zeros[0] > 0.4 and zeros[1] < 0.05:
        return "utf-16-be"
    return None


def _narrow(path: Path) -> str:
    good = bad = undefined = 0
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            text = decoder.decode(block)
            if not text.isascii():
                broken = re.findall("[\udc80-\udcff]", text)
                bad += len(broken)
                undefined += sum(byte in "\udc81\udc8d\udc8f\udc90\udc9d" for byte in broken)
                good += len(re.findall("[^\x00-\x7f\udc80-\udcff]", text))
    if bad == 0 or good > bad:
        return "utf-8"
    return "latin-1" if undefined else "cp1252"
