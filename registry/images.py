"""Image files: any file becomes one right RGB picture, or an error that says what to do.

Pixels are taken as stored: colour profiles and gamma are not applied, as `torchvision.io.decode_image` does not either.
The helpers raise `ImageError` without the name of the file, which `read_image` puts before it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from registry.errors import ImageError, MissingExtraError

if TYPE_CHECKING:
    from PIL import Image, ImageFile

# Pillow opens these too: a language of printers, by running Ghostscript; drawings; arrays of measurements; video.
_NOT_PICTURES: Final = frozenset({"BUFR", "EPS", "FITS", "GRIB", "HDF5", "MPEG", "WMF"})
_LARGE: Final = threading.Lock()
_MOST_RESIZED: Final = 100_000_000


def read_image(source: str | os.PathLike[str] | bytes | BinaryIO) -> Image.Image:
    """Read one picture: of a file with several frames or pages, the first.

    EXIF and XMP orientation are applied, then dropped. Transparency is composited over white: the colours hidden below
    transparent pixels are leftovers of the program that wrote the file, not part of the picture. 16-bit values keep
    their high byte, as in torchvision's `to_dtype`.

    Args:
        source: a path, the bytes of an image file, or a binary stream, read from where it stands and left open.

    Returns:
        A loaded image of mode "RGB", 8 bits per channel, size (width, height), without metadata and without open file.

    Raises:
        ImageError: the file is missing, empty, not an image, damaged, over Pillow's limit (twice `MAX_IMAGE_PIXELS`),
            or its pixels have no defined range (floats, 32-bit integers).
        MissingExtraError: Pillow is not installed.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("reading an image", "torch", "pillow") from error
    path = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    name = repr(os.fspath(path)) if isinstance(path, (str, os.PathLike)) else f"<{type(source).__name__}>"
    try:
        with _opened(source) as stream:
            return _decoded(stream)
    except ImageError as problem:
        raise ImageError(f"cannot read image {name}: {problem}") from problem.__cause__


def _opened(source: str | os.PathLike[str] | bytes | BinaryIO) -> BinaryIO:
    try:
        if not isinstance(source, (str, os.PathLike)):
            return io.BytesIO(source if isinstance(source, bytes) else source.read())
        path = Path(source)
        return path.open("rb") if path.is_file() else io.BytesIO(path.read_bytes())  # a pipe cannot seek
    except FileNotFoundError as error:
        raise ImageError("there is no such file; check the path") from error
    except IsADirectoryError as error:
        raise ImageError("it is a folder; name a file in it") from error
    except PermissionError as error:
        raise ImageError("permission denied; make the file readable for this user") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path, a closed stream
        raise ImageError(
            f"it cannot be opened ({getattr(error, 'strerror', None) or error}); check the path"
        ) from error
    except (AttributeError, TypeError) as error:
        raise ImageError("it is neither a path nor bytes nor a binary stream; give one of these") from error


def _decoded(stream: BinaryIO) -> Image.Image:
    from PIL import Image, ImageOps

    image = _identified(stream)
    pixels, warned = image.width * image.height, Image.MAX_IMAGE_PIXELS or 0
    try:
        if pixels > 2 * warned > 0:  # as Image.open does
            raise Image.DecompressionBombError(f"Image size ({pixels} pixels) exceeds limit of {2 * warned} pixels")
        if image.format == "PNG":  # its decoder skips the checksums of the pixels
            image.verify()
            stream.seek(0)
            image = type(image)(stream, "")
        layout = image.tile[0].args if image.tile else None  # load forgets it
        with contextlib.ExitStack() as quiet:
            if pixels > warned > 0:  # Pillow warns; filters belong to all threads, so only for large images and in turn
                quiet.enter_context(_LARGE)
                quiet.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image.load()
        rgb = _rgb(image, str(layout[0] if isinstance(layout, tuple) and layout else layout))
        rgb.info = {}
        with contextlib.suppress(Exception):  # EXIF that cannot be read turns nothing
            rgb.getexif()[0x0112] = image.getexif()[0x0112]
        ImageOps.exif_transpose(rgb, in_place=True)
        return rgb
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders meet damaged data with errors of any type
        raise _undecodable(str(image.format), error) from error


def _identified(stream: BinaryIO) -> ImageFile.ImageFile:
    """`PIL.Image.open` without its warning of large images, and aware of a format that knew the file and failed."""
    from PIL import Image

    if not (prefix := stream.read(16)):
        raise ImageError("it is empty (0 bytes); copy or download it again")
    Image.preinit()  # the common formats come first
    Image.init()
    failure: ImageError | None = None
    for kind in [kind for kind in Image.ID if kind not in _NOT_PICTURES]:
        factory, accepts = Image.OPEN[kind]
        try:
            if accepts is None or accepts(prefix.ljust(16, b"\0")):
                stream.seek(0)
                return factory(stream, "")
        except (SyntaxError, IndexError, TypeError, struct.error) as error:  # another format may fit
            failure = failure or (_undecodable(kind, error) if accepts else None)
        except Exception as error:
            raise _undecodable(kind, error) from error
    raise failure or ImageError("its content is no image that Pillow reads; convert it to JPEG or PNG, or name another")


def _undecodable(kind: str, error: Exception) -> ImageError:
    text = str(error) or type(error).__name__
    if too_large := re.match(r"Image size \((\d+) pixels\) exceeds limit of (\d+)", text):
        return ImageError("it has {} pixels, over the limit of {}; make it smaller first".format(*too_large.groups()))
    if isinstance(error, MemoryError):
        return ImageError(f"there is not enough memory for its {kind} data; make it smaller first")
    text = {"not identified by this driver": "its width or height is 0"}.get(text, text)
    advice = "copy or download it again, or convert it to JPEG or PNG"
    return ImageError(f"its {kind} data are damaged, cut short or unusual: {text}; {advice}")


def _rgb(image: Image.Image, layout: str) -> Image.Image:
    """A fresh RGB image of a loaded one, whose pixels lie in the file as `layout` says ("L;2": grey of 2 bits)."""
    from PIL import Image

    transparent = image.info.get("transparency")
    if image.mode[0] in "FI":
        image = _high_byte(image, layout, transparent)
    elif image.mode == "La":
        image = image.convert("LA")
    elif image.mode == "L" and isinstance(transparent, int):  # PNG counts it in the levels of the file
        image.info["transparency"] = transparent * {"L;2": 85, "L;4": 17}.get(layout, 1)
    elif layout == "RGB;16B" and transparent:
        raise ImageError("it marks a 16-bit colour as transparent; give it 8 bits or an alpha channel first")
    alpha = image.mode in ("LA", "PA", "RGBA", "RGBa") or (image.palette and image.palette.mode == "RGBA")
    if not alpha and "transparency" not in image.info:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _high_byte(image: Image.Image, layout: str, transparent: int | None) -> Image.Image:
    """The upper 8 of 16 (or 12) bits of grey, with alpha where one value is transparent."""
    from PIL import Image, ImageOps

    if image.mode == "F":
        raise ImageError("its pixels are floats, without a defined white; convert it to 8 or 16 bits first")
    wide = image.convert("I")
    low, _ = cast("tuple[int, int]", wide.getextrema())
    if low < 0 or not (image.format in ("PNG", "PPM") or "I;16" in image.mode + layout):
        raise ImageError("its pixels are 32-bit or signed, without a defined white; convert it to 8 or 16 bits first")
    grey = wide.point([value >> (4 if layout == "I;12" else 8) for value in range(65536)], "L")
    if getattr(image, "tag_v2", {}).get(262) == 0:  # TIFF's WhiteIsZero, which Pillow heeds up to 8 bits only
        grey = ImageOps.invert(grey)
    if transparent is None:
        return grey
    return Image.merge("LA", (grey, wide.point([255 * (value != transparent) for value in range(65536)], "L")))


def check_resized(image: Image.Image, shorter: int) -> None:
    """Refuses a picture so narrow that resizing its shorter side to `shorter` pixels would fill the memory.

    Raises:
        ImageError: the resized picture would have more than 100 million pixels.
    """
    width, height = image.size
    scale = shorter / min(width, height)
    if width * height * scale**2 > _MOST_RESIZED:
        would = f"{round(width * scale)}x{round(height * scale)}"
        raise ImageError(
            f"a picture of {width}x{height} pixels cannot be resized to a shorter side of {shorter}: it would have {would}; "
            "crop it first"
        )
