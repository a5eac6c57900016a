"""Pictures made by hand, so that a test can say what is in them, byte by byte."""

import struct
import subprocess
import zlib


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width=64, height=48, colour=(40, 90, 160), rows=None, text=None):
    """A PNG. `rows` fewer than `height` makes it declare more than it holds; `text` goes into a tEXt chunk."""
    rows = height if rows is None else rows
    packer = zlib.compressobj(9)
    line = b"\0" + bytes(colour) * width if rows else b""
    body = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    if text:
        parts.append(_chunk(b"tEXt", b"Comment\0" + text.encode()))
    return b"".join([*parts, _chunk(b"IDAT", body), _chunk(b"IEND", b"")])


def huge_png():
    """Declares 30,000 × 30,000 pixels in less than 50 kB: grey, one bit a pixel, all black."""
    width = height = 30_000
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(b"\0" * (1 + width // 8)) for _ in range(9_000)) + packer.flush()
    picture = b"".join([
        b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        _chunk(b"IDAT", body), _chunk(b"IEND", b"")])
    assert len(picture) < 50_000
    return picture


def jpeg_with_place(tmp_path):
    """A JPEG whose EXIF names a place and a camera, as a phone writes it."""
    source, target = tmp_path / "plain.png", tmp_path / "plain.jpg"
    source.write_bytes(png())
    subprocess.run(["vips", "copy", str(source), str(target)], check=True, capture_output=True)
    plain = target.read_bytes()

    def entry(tag, kind, count, value):
        return struct.pack(">HHI", tag, kind, count) + value

    make = b"SecretCamera\0\0\0\0"
    # Header 8, IFD0 of 2 entries (2 + 24 + 4), the make, then the GPS IFD of 4 entries.
    make_at = 8 + 2 + 24 + 4
    gps_at = make_at + len(make)
    lat_at = gps_at + 2 + 48 + 4
    tiff = b"MM\0*" + struct.pack(">I", 8)
    tiff += struct.pack(">H", 2) + entry(0x010F, 2, len(make), struct.pack(">I", make_at))
    tiff += entry(0x8825, 4, 1, struct.pack(">I", gps_at)) + struct.pack(">I", 0) + make
    tiff += struct.pack(">H", 4) + entry(1, 2, 2, b"N\0\0\0") + entry(2, 5, 3, struct.pack(">I", lat_at))
    tiff += entry(3, 2, 2, b"E\0\0\0") + entry(4, 5, 3, struct.pack(">I", lat_at + 24)) + struct.pack(">I", 0)
    tiff += struct.pack(">6I", 22, 1, 32, 1, 6, 1) + struct.pack(">6I", 114, 1, 1, 1, 43, 1)
    exif = b"Exif\0\0" + tiff
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
