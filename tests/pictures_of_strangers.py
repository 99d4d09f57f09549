"""Picture files of every format and form, sound and broken, for tests of all that reads them."""

import io
import struct
import zlib

import numpy as np
from hypothesis import strategies as st
from PIL import Image

MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr", "F"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "GIF": ("P",),
    "JPEG2000": ("RGB",),
    "TGA": ("RGB",),
    "EPS": ("RGB",),
    "PDF": ("RGB",),
}
"""Pillow's name of a format -> modes in which it writes it; the last ones are read by nothing."""


def picture(mode, height, width, seed):
    """A Pillow image with large structures and some noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (3, 3, 4)).astype(np.uint8)
    smooth = Image.fromarray(coarse, "RGBA").resize((width, height), Image.Resampling.BICUBIC)
    colors = np.clip(np.asarray(smooth, int) + random.integers(-3, 4, (height, width, 4)), 0, 255)
    image = Image.fromarray(colors.astype(np.uint8), "RGBA")
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 65536, (height, width)).astype(np.uint16))
    if mode == "F":
        return Image.fromarray(random.random((height, width)).astype(np.float32))
    if mode in ("RGBA", "LA"):
        return image.convert(mode)
    return image.convert("RGB").convert(mode)


def png_chunk(kind, content, crc=None):
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(depth, color, width, rows, *extra):
    """A PNG of any bit depth and colour type from its packed rows, with extra chunks."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", pixels)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def png_chunks(data):
    """The chunks of a PNG file, without its signature."""
    chunks, position = [], 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        chunks.append(data[position:end])
        position = end
    return chunks


@st.composite
def deep_pngs(draw):
    """PNG files of the bit depths and colour types that Pillow reads but does not write."""
    depth, color, channels = draw(
        st.sampled_from([(2, 0, 1), (4, 0, 1), (16, 0, 1), (16, 2, 3), (16, 4, 2), (16, 6, 4)])
    )
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 5))
    size = -(-width * channels * depth // 8)
    rows = [draw(st.binary(min_size=size, max_size=size)) for _ in range(height)]
    return png(depth, color, width, rows)


@st.composite
def written(draw):
    """Files that Pillow writes."""
    image_format = draw(st.sampled_from(list(MODES)))
    mode = draw(st.sampled_from(MODES[image_format]))
    sizes = st.integers(1, 40)
    image = picture(mode, draw(sizes), draw(sizes), draw(st.integers(0, 99)))
    options = {}
    orientation = draw(st.sampled_from([None, None, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    if orientation and image_format in ("JPEG", "PNG", "WEBP", "TIFF"):
        options["exif"] = exif = Image.Exif()
        exif[0x0112] = orientation
    if image_format == "JPEG":
        options |= {
            "progressive": draw(st.booleans()),
            "quality": draw(st.sampled_from([30, 75, 95, 100])),
            "subsampling": draw(st.sampled_from([0, 1, 2])),
        }
    if image_format == "WEBP":
        options |= {"lossless": draw(st.booleans()), "exact": draw(st.booleans())}
    if image_format == "TIFF" and mode in ("L", "RGB", "RGBA") and not orientation:
        options["compression"] = draw(st.sampled_from([None, "tiff_lzw", "packbits"]))
    if mode == "P" and draw(st.booleans()):
        options["transparency"] = draw(st.integers(0, 3))
    if image_format in ("PNG", "WEBP", "TIFF") and draw(st.integers(0, 4)) == 0:
        options |= {"save_all": True, "append_images": [image.transpose(0)]}
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


@st.composite
def broken(draw):
    """Files of `written` and `deep_pngs` with something cut, changed, or put in."""
    data = draw(st.one_of(written(), deep_pngs()))
    harm = draw(st.sampled_from(["cut", "change", "chunks", "text"]))
    if harm == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if harm == "change":
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 4))):
            changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    if harm == "chunks" and data.startswith(b"\x89PNG"):
        chunks = png_chunks(data)
        place = draw(st.integers(0, len(chunks) - 1))
        new = draw(st.sampled_from([None, b"ABCD", b"abCd", b"tEXt", b"PLTE", b"acTL", b"IHDR"]))
        if new is None:
            del chunks[place]
        else:
            crc = draw(st.sampled_from([None, 0]))
            chunks.insert(place, png_chunk(new, draw(st.binary(max_size=30)), crc))
        return data[:8] + b"".join(chunks)
    return draw(st.binary(max_size=30)) + data


def files():
    """All of them."""
    return st.one_of(written(), deep_pngs(), broken())
