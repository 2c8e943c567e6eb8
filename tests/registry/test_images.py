"""A file becomes one right RGB picture or a clear error.

Expected pixels come from torchvision's decoders where they read a file, else from arithmetic on the stored values.
"""

from __future__ import annotations

import csv
import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin, features

from registry.errors import ImageError, MissingExtraError
from registry.image_files import find_images
from registry.images import read_image

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding:DeprecationWarning")

without_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")

Pixels = np.ndarray  # height x width x 3 or 4, whole numbers
NO_IMAGE = "its content is no image that Pillow reads; convert it to JPEG or PNG, or name another"
ADVICE = "copy or download it again, or convert it to JPEG or PNG"


def pixels(image: Image.Image) -> Pixels:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def over_white(rgba: Pixels) -> Pixels:
    colour, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    return np.floor((colour * alpha + 255 * (255 - alpha)) / 255 + 0.5).astype(int)


def refusal(source: object) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source)  # type: ignore[arg-type]
    return str(caught.value)


# ---- odd files of the shared data ------------------------------------------------------------------------------------


def by_torchvision(data: bytes, mode: str = "RGB") -> Pixels:
    import torch
    from torchvision.io import ImageReadMode, decode_image

    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    decoded = decode_image(encoded, mode=ImageReadMode[mode], apply_exif_orientation=True)
    first = (decoded[0] if decoded.ndim == 4 else decoded).permute(1, 2, 0).numpy()
    return (first >> 8 if first.dtype == np.uint16 else first).astype(int)


def torchvision_rgb(path: Path) -> Pixels:
    return by_torchvision(path.read_bytes())


def torchvision_over_white(path: Path) -> Pixels:
    return over_white(by_torchvision(path.read_bytes(), "RGB_ALPHA"))


def turned_upside_down(path: Path) -> Pixels:  # XMP says 3, which torchvision does not read
    return torchvision_over_white(path)[::-1, ::-1]


def turned_clockwise(path: Path) -> Pixels:  # EXIF says 6, which torchvision reads in JPEG and PNG only
    return np.rot90(torchvision_rgb(path), -1)


def transparent_colour_made_white(path: Path) -> Pixels:  # torchvision does not read tRNS of RGB
    start = path.read_bytes().index(b"tRNS") + 4
    colour = struct.unpack(">3H", path.read_bytes()[start : start + 6])
    rgb = torchvision_rgb(path)
    rgb[(rgb == colour).all(axis=-1)] = 255
    return rgb


def first_frame_as_still(path: Path) -> Pixels:  # torchvision reads no animated WebP; this frame covers the canvas
    data = path.read_bytes()
    start = data.index(b"ANMF")
    (size,) = struct.unpack("<I", data[start + 4 : start + 8])
    frame = data[start + 24 : start + 8 + size]
    return over_white(by_torchvision(b"RIFF" + struct.pack("<I", 4 + len(frame)) + b"WEBP" + frame, "RGB_ALPHA"))


def high_bytes_of_grey_tiff(path: Path) -> Pixels:  # one strip, not compressed, at byte 110
    grey = np.frombuffer(path.read_bytes()[110 : 110 + 64 * 64 * 2], "<u2").reshape(64, 64, 1) >> 8
    return np.repeat(grey, 3, axis=2).astype(int)


def high_bytes_of_rgb_tiff(path: Path) -> Pixels:  # one deflated tile of 256 x 256 at byte 293
    tile = np.frombuffer(zlib.decompress(path.read_bytes()[293 : 293 + 23952]), "<u2").reshape(256, 256, 3)
    return (tile[:40, :100] >> 8).astype(int)


def same_as_jpeg_cmyk(path: Path) -> Pixels:  # the same sample, as a JPEG strip of a TIFF
    return torchvision_rgb(path.with_name("jpeg_cmyk_adobe.jpg"))


def white(path: Path) -> Pixels:  # L* = 100, a* = b* = 0 throughout
    assert path.read_bytes()[24020:][:300] == b"\xff\0\0" * 100
    return np.full((10, 10, 3), 255)


# name: (width, height), expected pixels, allowed difference
PICTURES: dict[str, tuple[tuple[int, int], Callable[[Path], Pixels], int]] = {
    "apng_16bit_animated.png": ((128, 64), torchvision_over_white, 0),
    "gif_animated.gif": ((100, 100), torchvision_rgb, 0),
    "jpeg_cmyk_adobe.jpg": ((100, 100), torchvision_rgb, 1),
    "jpeg_exif6_landscape.jpg": ((1800, 1200), torchvision_rgb, 1),
    "jpeg_exif6_small.jpg": ((128, 128), torchvision_rgb, 1),
    "jpeg_exif8_portrait.jpg": ((1200, 1800), torchvision_rgb, 1),
    "jpeg_gray.jpg": ((128, 128), torchvision_rgb, 1),
    "jpeg_icc_after_sof.jpg": ((10, 10), torchvision_rgb, 1),
    "jpeg_invalid_exif.jpg": ((200, 200), torchvision_rgb, 1),
    "jpeg_junk_header.jpg": ((1024, 768), torchvision_rgb, 1),
    "jpeg_truncated_app14.jpg": ((100, 100), torchvision_rgb, 1),
    "made_4000x2.png": ((4000, 2), torchvision_rgb, 0),
    "mpo_two_frames.mpo": ((640, 480), torchvision_rgb, 1),
    "png_16bit_gray.png": ((32, 32), torchvision_rgb, 0),
    "png_16bit_gray_alpha.png": ((32, 32), torchvision_over_white, 0),
    "png_16bit_rgb.png": ((32, 32), torchvision_rgb, 0),
    "png_1bit.png": ((32, 32), torchvision_rgb, 0),
    "png_1x1.png": ((1, 1), torchvision_over_white, 0),
    "png_palette_trns.png": ((64, 64), torchvision_over_white, 0),
    "png_rgb_trns.png": ((64, 64), transparent_colour_made_white, 0),
    "png_rgba.png": ((200, 150), torchvision_over_white, 0),
    "png_xmp_orientation.png": ((326, 268), turned_upside_down, 0),
    "tiff_16bit_gray.tif": ((64, 64), high_bytes_of_grey_tiff, 0),
    "tiff_16bit_rgb.tiff": ((100, 40), high_bytes_of_rgb_tiff, 0),
    "tiff_cmyk.tif": ((100, 100), same_as_jpeg_cmyk, 2),
    "tiff_lab.tif": ((10, 10), white, 1),
    "webp_alpha.webp": ((200, 150), torchvision_over_white, 1),
    "webp_animated.webp": ((245, 245), first_frame_as_still, 0),
    "webp_exif6.webp": ((128, 128), turned_clockwise, 1),
}

REFUSED = {
    "gif_decompression_bomb.gif": "it has 4364696535 pixels, over the limit of 178956970; make it smaller first",
    "gif_zero_width.gif": f"its GIF data are damaged, cut short or unusual: its width or height is 0; {ADVICE}",
    "jpeg_truncated.jpg": "its JPEG data are damaged, cut short or unusual: "
    f"image file is truncated (8 bytes not processed); {ADVICE}",
    "made_empty.jpg": "it is empty (0 bytes); copy or download it again",
    "made_png_20000x12000_1bit.png": "it has 240000000 pixels, over the limit of 178956970; make it smaller first",
    "made_text_named.jpg": NO_IMAGE,
    "png_broken.png": "its PNG data are damaged, cut short or unusual: "
    rf"broken PNG file (chunk b'\xf4\xa8\x81\xe1'); {ADVICE}",
    "png_broken_data_stream.png": "its PNG data are damaged, cut short or unusual: "
    f"broken PNG file (bad header checksum in b'IDAT'); {ADVICE}",
    "png_truncated.png": f"its PNG data are damaged, cut short or unusual: Truncated File Read; {ADVICE}",
    "tiff_float32.tiff": "its pixels are floats, without a defined white; convert it to 8 or 16 bits first",
}


@pytest.fixture
def odd_images(shared_data: Path) -> Path:
    return shared_data / "odd_images"


def test_every_odd_file_has_an_expected_outcome(odd_images: Path) -> None:
    with (odd_images / "manifest.csv").open(newline="") as manifest:
        files = {row["file"] for row in csv.DictReader(manifest)}
    assert files == PICTURES.keys() | REFUSED.keys() | {"avif_rgb.avif"}


@pytest.mark.parametrize("name", PICTURES)
def test_an_odd_picture_is_read_right(odd_images: Path, name: str) -> None:
    size, expected, tolerance = PICTURES[name]
    image = read_image(odd_images / name)
    assert image.size == size
    assert np.abs(pixels(image) - expected(odd_images / name)).max() <= tolerance


@without_avif
def test_avif_is_read_right(odd_images: Path) -> None:
    """The grey JPEG shows the same picture; both are compressed with loss."""
    image = read_image(odd_images / "avif_rgb.avif")
    grey = torchvision_rgb(odd_images / "jpeg_gray.jpg")[..., 0]
    assert image.size == (128, 128)
    assert np.abs(pixels(image) @ [0.299, 0.587, 0.114] - grey).mean() < 4


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_file_without_a_right_picture_says_why(odd_images: Path, name: str) -> None:
    path = odd_images / name
    assert refusal(path) == f"cannot read image {str(path)!r}: {REFUSED[name]}"


# ---- files made here -------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, bits: int, colour: int, row: bytes, transparent: bytes = b"") -> bytes:
    """A PNG of one row; colour 0 is grey, 2 is RGB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0))
    key = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + head + key + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")


def tiff(
    width: int,
    bits: int,
    photometric: int,
    row: bytes,
    *,
    samples: int = 1,
    sample_format: int = 1,
    extra_samples: int | None = None,
    order: str = "<",
) -> bytes:
    """A TIFF of one row, not compressed."""
    count = 9 if extra_samples is None else 10
    start = 8 + 2 + 12 * count + 4  # of bits per sample, then of sample formats, then of the pixels
    more = struct.pack(f"{order}{samples}H", *[bits] * samples) + struct.pack(
        f"{order}{samples}H", *[sample_format] * samples
    )

    def entry(tag: int, value: int) -> bytes:
        return struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)

    def entries(tag: int, value: int, offset: int) -> bytes:
        if samples == 1:
            return entry(tag, value)
        return struct.pack(f"{order}HHI", tag, 3, samples) + (
            struct.pack(f"{order}HH", value, value) if samples == 2 else struct.pack(f"{order}I", offset)
        )

    directory = [entry(256, width), entry(257, 1), entries(258, bits, start), entry(259, 1), entry(262, photometric)]
    directory += [entry(273, start + len(more)), entry(277, samples), entry(279, len(row))]
    directory += [] if extra_samples is None else [entry(338, extra_samples)]
    directory += [entries(339, sample_format, start + 2 * samples)]
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, count)
    return head + b"".join(directory) + bytes(4) + more + row


def first_row(data: bytes) -> list[list[int]]:
    return pixels(read_image(data))[0].tolist()


def grey_row(data: bytes) -> list[int]:
    row = first_row(data)
    assert all(red == green == blue for red, green, blue in row)
    return [red for red, _, _ in row]


@pytest.fixture
def gradient() -> Image.Image:
    """24 x 16, every pixel of another colour."""
    y, x = np.mgrid[0:16, 0:24]
    return Image.fromarray(np.stack([x * 10, y * 15, (x + y) * 6], axis=-1).astype(np.uint8))


def test_the_picture_is_fresh_and_holds_neither_file_nor_metadata(tmp_path: Path, gradient: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    path = tmp_path / "a.png"
    gradient.save(path, exif=exif, dpi=(72, 72))
    image = read_image(path)
    path.unlink()
    assert type(image) is Image.Image
    assert (image.mode, image.info, dict(image.getexif())) == ("RGB", {}, {})
    image.putpixel((0, 0), (1, 2, 3))  # loaded and writable
    assert image.getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("as_source", [str, Path, Path.read_bytes, lambda path: io.BytesIO(path.read_bytes())])
def test_paths_bytes_and_streams_give_the_same_picture(
    tmp_path: Path, gradient: Image.Image, as_source: Callable[[Path], str]
) -> None:
    path = tmp_path / "a.png"
    gradient.save(path)
    assert (pixels(read_image(as_source(path))) == np.asarray(gradient)).all()


def test_a_stream_is_read_from_where_it_stands_and_left_open(gradient: Image.Image) -> None:
    stream = io.BytesIO(b"header" + encoded(gradient, "PNG"))
    stream.seek(6)
    assert (pixels(read_image(stream)) == np.asarray(gradient)).all()
    assert not stream.closed


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read(tmp_path: Path, gradient: Image.Image) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(encoded(gradient, "PNG"),))
    writer.start()
    assert (pixels(read_image(path)) == np.asarray(gradient)).all()
    writer.join()


TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
    ],
    ids=["png", "tiff", "tiff-lzw", "webp", "jpeg"],
)
def test_exif_orientation_is_applied(
    gradient: Image.Image, kind: str, options: dict[str, object], orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = pixels(read_image(encoded(gradient, kind, exif=exif, **options)))
    expected = TURNS[orientation](np.asarray(gradient).astype(int))
    assert read.shape == expected.shape
    assert np.abs(read - expected).max() <= (3 if kind == "JPEG" else 0)


def test_xmp_orientation_is_applied(gradient: Image.Image) -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>')
    assert (pixels(read_image(encoded(gradient, "PNG", pnginfo=text))) == np.rot90(np.asarray(gradient), -1)).all()


def test_exif_that_cannot_be_read_turns_nothing(gradient: Image.Image) -> None:
    data = encoded(gradient, "PNG", exif=b"Exif\0\0no TIFF header")
    assert (pixels(read_image(data)) == np.asarray(gradient)).all()


def test_alpha_is_composited_over_white() -> None:
    rgba = np.array([[[200, 100, 0, 0], [200, 100, 0, 51], [200, 100, 0, 128], [200, 100, 0, 255]]], np.uint8)
    expected = [[255, 255, 255], [244, 224, 204], [227, 177, 127], [200, 100, 0]]
    assert over_white(rgba)[0].tolist() == expected
    assert first_row(encoded(Image.fromarray(rgba), "PNG")) == expected
    assert first_row(encoded(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)) == expected
    assert first_row(encoded(Image.fromarray(rgba), "TIFF")) == expected


def test_grey_with_alpha_is_composited_over_white() -> None:
    grey_alpha = np.array([[[100, 0], [100, 51], [100, 255]]], np.uint8)
    assert grey_row(encoded(Image.fromarray(grey_alpha, "LA"), "PNG")) == [255, 224, 100]


@pytest.mark.skipif(
    ("La", "La") not in TiffImagePlugin.OPEN_INFO.values(), reason="this Pillow reads no such TIFF file"
)
def test_grey_multiplied_by_its_alpha_is_composited_over_white() -> None:
    """Half-transparent black and white; a TIFF may store them multiplied (extra sample 1)."""
    assert grey_row(tiff(2, 8, 1, bytes([0, 51, 51, 51]), samples=2, extra_samples=1)) == [204, 255]


def test_a_palette_with_transparency_is_composited_over_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    expected = [[255, 255, 255], [169, 173, 177], [70, 80, 90]]  # 40 * 0.4 + 255 * 0.6 = 169
    assert first_row(encoded(image, "PNG", transparency=bytes([0, 102, 255]))) == expected
    assert first_row(encoded(image, "GIF", transparency=1))[1] == [255, 255, 255]


@pytest.mark.parametrize(
    ("bits", "row", "key", "expected"),
    [
        (1, bytes([0b01000000]), 1, [0, 255, 0, 0]),
        (1, bytes([0b01000000]), 0, [255, 255, 255, 255]),
        (2, bytes([0b00011011]), 2, [0, 85, 255, 255]),
        (4, bytes([0x01, 0x23]), 1, [0, 255, 34, 51]),
        (8, bytes([0, 1, 2, 3]), 2, [0, 1, 255, 3]),
        (16, bytes([1, 0, 1, 1, 1, 2, 2, 0]), 0x0101, [1, 255, 1, 2]),
    ],
)
def test_a_transparent_grey_becomes_white_at_any_depth(bits: int, row: bytes, key: int, expected: list[int]) -> None:
    assert grey_row(png(4, bits, 0, row, struct.pack(">H", key))) == expected


def test_a_transparent_colour_becomes_white() -> None:
    data = png(2, 8, 2, bytes([1, 2, 3, 1, 2, 4]), struct.pack(">3H", 1, 2, 3))
    assert first_row(data) == [[255, 255, 255], [1, 2, 4]]


def test_a_transparent_16_bit_colour_is_refused() -> None:
    data = png(1, 16, 2, bytes(6), struct.pack(">3H", 1, 2, 3))
    assert refusal(data) == (
        "cannot read image <bytes>: it marks a 16-bit colour as transparent; give it 8 bits or an alpha channel first"
    )


WIDE = [0, 255, 256, 32767, 65535]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(5, 16, 0, struct.pack(">5H", *WIDE)), [0, 0, 1, 127, 255]),
        (tiff(5, 16, 1, struct.pack("<5H", *WIDE)), [0, 0, 1, 127, 255]),
        (tiff(5, 16, 1, struct.pack(">5H", *WIDE), order=">"), [0, 0, 1, 127, 255]),
        (tiff(5, 16, 0, struct.pack("<5H", *WIDE)), [255, 255, 254, 128, 0]),  # photometric 0: white is zero
        (tiff(2, 16, 1, struct.pack("<2h", 256, 32767), sample_format=2), [1, 127]),
        (tiff(4, 12, 1, bytes([0x00, 0x0F, 0xFF, 0x80, 0x07, 0xFF])), [0, 255, 128, 127]),  # 0, 4095, 2048, 2047
        (b"P5 5 1 65535\n" + struct.pack(">5H", *WIDE), [0, 0, 1, 127, 255]),
        (b"P5 3 1 1023\n" + struct.pack(">3H", 0, 512, 1023), [0, 128, 255]),
    ],
    ids=["png", "tiff", "tiff-big-endian", "tiff-white-is-zero", "tiff-signed", "tiff-12-bit", "pgm", "pgm-10-bit"],
)
def test_wide_grey_keeps_its_high_bits(data: bytes, expected: list[int]) -> None:
    assert grey_row(data) == expected


def test_16_bit_colour_keeps_its_high_bytes() -> None:
    row = struct.pack("<6H", 255, 256, 65535, 0x1234, 0x8000, 0x7FFF)
    assert first_row(tiff(2, 16, 2, row, samples=3)) == [[0, 1, 255], [0x12, 0x80, 0x7F]]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (tiff(1, 32, 1, struct.pack("<f", 0.5), sample_format=3), "floats"),
        (b"Pf 1 1 -1.0\n" + struct.pack("<f", 0.5), "floats"),
        (tiff(1, 32, 1, struct.pack("<I", 7)), "32-bit or signed"),
        (tiff(1, 32, 1, struct.pack("<i", 70000), sample_format=2), "32-bit or signed"),
        (tiff(1, 16, 1, struct.pack("<h", -1), sample_format=2), "32-bit or signed"),
    ],
    ids=["tiff-float", "pfm", "tiff-32-bit", "tiff-32-bit-signed", "tiff-16-bit-signed"],
)
def test_numbers_without_a_defined_range_are_refused(data: bytes, problem: str) -> None:
    advice = "convert it to 8 or 16 bits first"
    assert refusal(data) == f"cannot read image <bytes>: its pixels are {problem}, without a defined white; {advice}"


def srgb_of_lab(lightness: float, a: float, b: float) -> list[float]:
    """CIE 15: L*a*b* of D50 to XYZ; then Bradford adaptation to D65 and sRGB's matrix in one; IEC 61966-2-1 curve."""
    fy = (lightness + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1.0, 0.8249]
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(np.array(matrix) @ xyz, 0, 1)
    return list(255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def test_lab_becomes_srgb() -> None:
    colours = [(0, 0, 0), (50, 0, 0), (100, 0, 0), (60, 30, 20), (60, -30, 20), (40, 10, -40)]
    row = b"".join(struct.pack("Bbb", round(lightness * 2.55), a, b) for lightness, a, b in colours)
    read = np.array(first_row(tiff(len(colours), 8, 8, row, samples=3)))
    assert np.abs(read - [srgb_of_lab(*colour) for colour in colours]).max() < 2.5


def test_cmyk_becomes_rgb() -> None:
    cmyk = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 128, 255, 0), (0, 0, 0, 255), (51, 102, 153, 51)]
    expected = [[(255 - ink) * (255 - black) / 255 for ink in inks] for *inks, black in cmyk]
    row = b"".join(bytes(colour) for colour in cmyk)
    assert np.abs(np.array(first_row(tiff(5, 8, 5, row, samples=4))) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_the_first_is_read(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert first_row(data) == [[255, 0, 0]] * 4


# ---- large images ----------------------------------------------------------------------------------------------------


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns over 300 pixels and refuses over 600."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)


@pytest.fixture
def warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


KINDS = ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"]


@pytest.mark.usefixtures("low_limit", "warnings_are_errors")
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_within_the_limit_is_read_without_a_warning(gradient: Image.Image, kind: str) -> None:
    assert read_image(encoded(gradient, kind)).size == (24, 16)  # 384 pixels


@pytest.mark.usefixtures("low_limit", "warnings_are_errors")
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_over_the_limit_is_refused(kind: str) -> None:
    data = encoded(Image.new("RGB", (31, 20)), kind)
    assert refusal(data) == "cannot read image <bytes>: it has 620 pixels, over the limit of 600; make it smaller first"


def test_without_a_limit_any_size_is_read(monkeypatch: pytest.MonkeyPatch, gradient: Image.Image) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert read_image(encoded(gradient, "PNG")).size == (24, 16)


def test_a_lack_of_memory_is_named(monkeypatch: pytest.MonkeyPatch, gradient: Image.Image) -> None:
    def fail(self: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    assert refusal(encoded(gradient, "PNG")) == (
        "cannot read image <bytes>: there is not enough memory for its PNG data; make it smaller first"
    )


@pytest.mark.usefixtures("low_limit", "warnings_are_errors")
def test_threads_read_at_once_and_leave_the_warning_filters_alone(gradient: Image.Image) -> None:
    small = gradient.crop((0, 0, 12, 16))
    files = [
        (encoded(image, kind), np.asarray(image)) for image in (gradient, small) for kind in ("PNG", "TIFF", "BMP")
    ]
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(read_image, [data for data, _ in files] * 50))
    assert all((pixels(image) == expected).all() for image, (_, expected) in zip(images, files * 50, strict=True))
    assert list(warnings.filters) == filters


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind",
    [pytest.param("AVIF", marks=without_avif), "ICO", "JPEG2000", "PPM", "TGA", *KINDS],
)
def test_a_file_cut_anywhere_is_refused_or_read_whole(gradient: Image.Image, kind: str) -> None:
    data = encoded(gradient, kind)
    whole = pixels(read_image(data))
    refused = 0
    for length in range(0, len(data), 1 + len(data) // 150):
        try:
            cut = pixels(read_image(data[:length]))
        except ImageError:
            refused += 1
        else:
            assert np.array_equal(cut, whole)
    assert refused > 50


def test_one_wrong_bit_among_the_pixels_of_a_png_is_noticed(gradient: Image.Image) -> None:
    data = bytearray(encoded(gradient, "PNG"))
    for position in range(data.index(b"IDAT") + 4, data.index(b"IEND") - 8, 3):
        data[position] ^= 4
        assert refusal(bytes(data)) == (
            "cannot read image <bytes>: its PNG data are damaged, cut short or unusual: "
            f"broken PNG file (bad header checksum in b'IDAT'); {ADVICE}"
        )
        data[position] ^= 4


def test_a_program_for_printers_is_not_run() -> None:
    assert refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n") == (
        f"cannot read image <bytes>: {NO_IMAGE}"
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no.jpg", "'no.jpg': there is no such file; check the path"),
        ("", "'': it is a folder; name a file in it"),
        (Path("folder"), "'folder': it is a folder; name a file in it"),
        ("a\0b", "'a\\x00b': it cannot be opened (embedded null byte); check the path"),
        (b"", "<bytes>: it is empty (0 bytes); copy or download it again"),
        (io.StringIO("text"), "<StringIO>: it is neither a path nor bytes nor a binary stream; give one of these"),
        (7, "<int>: it is neither a path nor bytes nor a binary stream; give one of these"),
    ],
)
def test_a_source_that_is_no_file_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: object, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert refusal(source) == f"cannot read image {message}"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (PermissionError(13, "Permission denied"), "permission denied; make the file readable for this user"),
        (OSError(5, "Input/output error"), "it cannot be opened (Input/output error); check the path"),
    ],
)
def test_a_file_that_cannot_be_opened_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, problem: str
) -> None:
    def fail(self: Path, mode: str) -> None:
        raise error

    path = tmp_path / "a.png"
    path.touch()
    monkeypatch.setattr(Path, "open", fail)
    assert refusal(path) == f"cannot read image {str(path)!r}: {problem}"


def test_an_open_file_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.touch()
    with path.open("rb") as file:
        assert refusal(file) == f"cannot read image {str(path)!r}: it is empty (0 bytes); copy or download it again"


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtraError) as caught:
        read_image("a.jpg")
    assert str(caught.value) == (
        "reading an image needs the package `pillow`; install it with: pip install 'vision-registry[torch]'"
    )


def test_the_module_imports_neither_pillow_nor_torch_nor_numpy() -> None:
    code = "import sys, registry.images; print(sorted({'PIL', 'torch', 'numpy'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


# ---- find_images -----------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files that are empty: finding does not read."""
    for name in (
        "photos/b.JPG", "photos/a.png", "photos/notes.txt", "photos/.hidden.png", "photos/.cache/c.png",
        "photos/trip/d.webp", "photos/trip/deep/e.tiff", "other/f.dat", "other/[g].png", "empty/readme.md",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


ALL = ["photos/a.png", "photos/b.JPG", "photos/trip/d.webp", "photos/trip/deep/e.tiff"]


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["photos"], ALL),
        (["photos/"], ALL),
        (["photos/trip", "photos"], [ALL[2], ALL[3], ALL[0], ALL[1]]),
        (["photos/b.JPG", "photos/a.png"], ["photos/b.JPG", "photos/a.png"]),
        (["photos/a.png", "./photos/a.png", "photos/trip/../a.png"], ["photos/a.png"]),
        (["other/f.dat", "photos/notes.txt"], ["other/f.dat", "photos/notes.txt"]),
        (["photos/.hidden.png", "photos/.cache"], ["photos/.hidden.png", "photos/.cache/c.png"]),
        (["other/[g].png"], ["other/[g].png"]),
        (["photos/*.png"], ["photos/a.png"]),
        (["photos/?.*"], ["photos/a.png", "photos/b.JPG"]),
        (["photos/[ab].png"], ["photos/a.png"]),
        (["photos/*"], ALL),
        (["p*"], ALL),
        (["photos/**/*.tiff"], ["photos/trip/deep/e.tiff"]),
        (["photos/**"], ALL),
        (["**/*.png"], ["other/[g].png", "photos/a.png"]),
        (["photos/.cache/*"], ["photos/.cache/c.png"]),
        (["photos/trip/../*.png"], ["photos/trip/../a.png"]),
        ([], []),
    ],
)
def test_files_folders_and_patterns_become_files(given: list[str], found: list[str]) -> None:
    assert find_images(given) == [Path(name) for name in found]


def test_absolute_patterns_are_searched(photos: Path) -> None:
    assert find_images([str(photos / "photos" / "*.png")]) == [photos / "photos" / "a.png"]


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no.jpg", "there is no file or folder 'no.jpg'; check the path"),
        ("", "there is no file or folder ''; check the path"),
        ("empty", "no image file in 'empty'; name a file, or a folder or pattern that holds some"),
        ("no*.png", "no image file in 'no*.png'; name a file, or a folder or pattern that holds some"),
        ("photos/*.txt", "no image file in 'photos/*.txt'; name a file, or a folder or pattern that holds some"),
    ],
)
def test_a_path_that_stands_for_nothing_is_named(given: str, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        find_images(["photos", given])
    assert str(caught.value) == message


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="** beside other characters is allowed")
def test_a_pattern_that_pathlib_refuses_is_named() -> None:
    with pytest.raises(ImageError) as caught:
        find_images(["no**.png"])
    assert str(caught.value) == (
        "'no**.png' is not a pattern (Invalid pattern: '**' can only be an entire path component); "
        "write ** between slashes only"
    )


@pytest.mark.parametrize("given", ["photos", "photos/**/*.*", "**/*.*"])
def test_links_that_go_round_in_circles_end(photos: Path, given: str) -> None:
    try:
        for number in range(3):
            (photos / "photos" / "trip" / f"round{number}").symlink_to(photos / "photos", target_is_directory=True)
    except OSError:
        pytest.skip("this system lets the user make no links")
    found = find_images([given])
    assert [path for path in found if path.parts[0] == "photos"] == [Path(name) for name in ALL]


def test_a_folder_that_cannot_be_listed_is_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = os.scandir

    def scandir(folder: str) -> Iterator[os.DirEntry[str]]:
        if Path(folder).name == "trip":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ImageError) as caught:
        find_images(["photos"])
    assert (
        str(caught.value)
        == f"cannot list folder {os.path.join('photos', 'trip')!r}: Permission denied; make it readable"
    )
