#!/usr/bin/env python3
"""Draws small pictures in every kind of file that e5v reads, and what Pillow makes of them.

    python3 generate.py

Writes files/ and golden.json beside itself. The CRC-32 of each entry is that of the RGB bytes of
Image.open(file).convert("RGB"); "turned" is the same after ImageOps.exif_transpose.
"""

import io
import json
import pathlib
import struct
import warnings
import zlib

import PIL
from PIL import Image, ImageOps, features

HERE = pathlib.Path(__file__).resolve().parent
FILES = HERE / "files"
WIDTH, HEIGHT = 23, 17  # odd, and no multiple of 8: edges of blocks and of interlacing show


def picture(width=WIDTH, height=HEIGHT):
    """Smooth parts, sharp edges and saturated colours."""
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            edge = 255 if (x // 5 + y // 4) % 3 == 0 else 0
            image.putpixel((x, y), ((x * 11) % 256, (y * 15 + x) % 256, edge))
    return image


def alpha(width=WIDTH, height=HEIGHT):
    image = Image.new("L", (width, height))
    image.putdata([(x * y * 7) % 256 for y in range(height) for x in range(width)])
    return image


# ---- PNG, written by hand: Pillow writes neither 16-bit colour nor interlaced files.

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def sample(x, y, c, depth, color_type, num_colors):
    if color_type == 3:
        return (x * 3 + y * 5) % num_colors
    return (x * 2654435 + y * 40503 + c * 977 + x * y * 31) >> 3 & ((1 << depth) - 1)


def pack_row(samples, depth):
    if depth == 16:
        return b"".join(struct.pack(">H", s) for s in samples)
    bits = "".join(format(s, f"0{depth}b") for s in samples)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def png(color_type, depth, interlaced=False, num_colors=None, extra=b"", after=b"", filters=True):
    num_colors = num_colors or min(256, 1 << depth)
    channels = CHANNELS[color_type]
    raw = bytearray()
    bytes_per_pixel = max(1, channels * depth // 8)
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        previous = None
        for y in range(y0, HEIGHT, dy):
            columns = range(x0, WIDTH, dx)
            if not columns:
                continue
            row = pack_row(
                [sample(x, y, c, depth, color_type, num_colors) for x in columns for c in range(channels)], depth
            )
            previous = previous or bytes(len(row))
            kind = y % 3 if filters else 0  # none, left, up
            raw.append(kind)
            for i, byte in enumerate(row):
                left = row[i - bytes_per_pixel] if i >= bytes_per_pixel else 0
                raw.append((byte - (0, left, previous[i])[kind]) % 256)
            previous = row
    palette = b""
    if color_type == 3:
        palette = chunk(b"PLTE", bytes((i * 37 + c * 91) % 256 for i in range(num_colors) for c in range(3)))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, color_type, 0, 0, int(interlaced)))
        + palette
        + extra
        + chunk(b"IDAT", zlib.compress(bytes(raw), 9))
        + after
        + chunk(b"IEND", b"")
    )


# ---- BMP, written by hand for the kinds that Pillow does not write.


def bmp(bits, rows, compression=0, masks=b"", palette=b"", core=False, top_down=False, colors=0):
    height = -HEIGHT if top_down else HEIGHT
    if core:
        header = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, compression, len(rows), 0, 0, colors, 0)
    offset = 14 + len(header) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + masks + palette + rows


def bmp_rows(bits, value):
    rows = b""
    for y in reversed(range(HEIGHT)):
        if bits < 8:
            row = pack_row([value(x, y) for x in range(WIDTH)], bits)
        else:
            row = b"".join(value(x, y).to_bytes(bits // 8, "little") for x in range(WIDTH))
        rows += row + bytes(-len(row) % 4)
    return rows


def bmp_palette(num_colors, entry_bytes=4):
    return b"".join(bytes((i * 29 % 256, i * 53 % 256, i * 97 % 256, 0)[:entry_bytes]) for i in range(num_colors))


def rle8_rows():
    rows = b""
    for y in range(HEIGHT):
        rows += bytes([9, y % 16, 0, 5, 1, 2, 3, 4, 5, 0, 9, (y * 3) % 16]) + b"\0\0"
    return rows + b"\0\1"


def rle4_rows():
    rows = b""
    for y in range(HEIGHT):
        rows += bytes([10, 0x10 + y % 16, 0, 5, 0x12, 0x34, 0x50, 0, 8, 0xA5]) + b"\0\0"
    return rows + b"\0\1"


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def xmp(orientation):
    return b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>' % orientation


def saved(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def make_files():
    rgb, gray = picture(), picture().convert("L")
    rgba = rgb.copy()
    rgba.putalpha(alpha())
    cmyk = Image.merge("CMYK", (*rgb.split(), alpha()))
    files = {}
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        files[f"rgb_{name}.jpg"] = saved(rgb, "JPEG", quality=85, subsampling=subsampling)
    files["rgb_progressive.jpg"] = saved(rgb, "JPEG", quality=70, progressive=True)
    files["rgb_restarts.jpg"] = saved(rgb, "JPEG", quality=80, restart_marker_blocks=1)
    files["rgb_stored_as_rgb.jpg"] = saved(rgb, "JPEG", quality=90, keep_rgb=True)
    files["gray.jpg"] = saved(gray, "JPEG", quality=80)
    files["gray_progressive.jpg"] = saved(gray, "JPEG", quality=80, progressive=True)
    files["cmyk.jpg"] = saved(cmyk, "JPEG", quality=90)
    # The same data called YCCK: what the Adobe marker's last byte says.
    files["ycck.jpg"] = files["cmyk.jpg"].replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2")
    assert files["ycck.jpg"] != files["cmyk.jpg"]
    for orientation in range(1, 9):
        files[f"exif_{orientation}.jpg"] = saved(rgb, "JPEG", quality=75, exif=exif(orientation))
    files["xmp_8.jpg"] = saved(rgb, "JPEG", quality=75, xmp=xmp(8))

    for depth in (1, 2, 4, 8, 16):
        files[f"gray_{depth}.png"] = png(0, depth)
        files[f"gray_{depth}_interlaced.png"] = png(0, depth, interlaced=True)
    for depth in (1, 2, 4, 8):
        files[f"palette_{depth}.png"] = png(3, depth)
    files["palette_4_interlaced.png"] = png(3, 4, interlaced=True)
    files["palette_8_short.png"] = png(3, 8, num_colors=100)
    files["palette_trns.png"] = png(3, 4, extra=chunk(b"tRNS", bytes(range(0, 160, 10))))
    files["palette_trns_one.png"] = png(3, 2, extra=chunk(b"tRNS", b"\xff\x00"))
    files["gray_trns.png"] = png(0, 8, extra=chunk(b"tRNS", b"\0\x10"))
    files["rgb_trns.png"] = png(2, 8, extra=chunk(b"tRNS", bytes(6)))
    for name, color_type in (("rgb", 2), ("la", 4), ("rgba", 6)):
        for depth in (8, 16):
            files[f"{name}_{depth}.png"] = png(color_type, depth)
            files[f"{name}_{depth}_interlaced.png"] = png(color_type, depth, interlaced=True)
    files["rgb_all_filters.png"] = saved(rgb, "PNG")
    files["exif_6.png"] = png(2, 8, extra=chunk(b"eXIf", exif(6)[6:]))
    files["exif_3_at_the_end.png"] = png(2, 8, after=chunk(b"eXIf", exif(3)[6:]))
    files["xmp_5.png"] = png(2, 8, extra=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(5)))
    raw_profile = f"\nexif\n{len(exif(8)):8}\n{exif(8).hex()}\n".encode()
    files["raw_profile_8.png"] = png(
        2, 8, extra=chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_profile))
    )

    files["lossy.webp"] = saved(rgb, "WEBP", quality=60)
    files["lossless.webp"] = saved(rgb, "WEBP", lossless=True)
    files["lossy_alpha.webp"] = saved(rgba, "WEBP", quality=60)
    files["lossless_alpha.webp"] = saved(rgba, "WEBP", lossless=True, exact=True)
    files["exif_7.webp"] = saved(rgb, "WEBP", quality=50, exif=exif(7))
    files["animated.webp"] = saved(
        rgba, "WEBP", save_all=True, append_images=[rgba.rotate(180)], lossless=True, duration=50
    )

    indexed = rgb.quantize(16)
    files["plain.gif"] = saved(indexed, "GIF")
    files["not_interlaced.gif"] = saved(indexed, "GIF", interlace=0)
    files["gray.gif"] = saved(gray, "GIF")
    files["transparent.gif"] = saved(indexed, "GIF", transparency=3)
    files["animated.gif"] = saved(indexed, "GIF", save_all=True, append_images=[indexed.rotate(90)])
    # One picture of 23x17 moved to (4, 2) of a canvas that it reaches over.
    at = files["transparent.gif"].rindex(b"," + bytes(4) + struct.pack("<HH", WIDTH, HEIGHT))
    moved = bytearray(files["transparent.gif"])
    moved[at + 1 : at + 5] = struct.pack("<HH", 4, 2)
    files["moved_transparent.gif"] = bytes(moved)
    noise = Image.new("P", (96, 96))
    noise.putpalette(bytes(i * 7 % 256 for i in range(768)))
    noise.putdata([(x * x * 31 + y * y * 17 + x * y) % 251 for y in range(96) for x in range(96)])
    files["full_code_table.gif"] = saved(noise, "GIF")

    files["rgb.bmp"] = saved(rgb, "BMP")
    files["gray.bmp"] = saved(gray, "BMP")
    files["one_bit.bmp"] = saved(rgb.convert("1"), "BMP")
    files["top_down_32.bmp"] = bmp(32, bmp_rows(32, lambda x, y: x * 9 + (y * 13 << 8) + (x * y << 16)), top_down=True)
    files["palette_1.bmp"] = bmp(1, bmp_rows(1, lambda x, y: (x * y + x) % 2), palette=bmp_palette(2))
    files["palette_4.bmp"] = bmp(4, bmp_rows(4, lambda x, y: (x + y * 3) % 16), palette=bmp_palette(16))
    files["palette_8_short.bmp"] = bmp(
        8, bmp_rows(8, lambda x, y: (x * 5 + y) % 120), palette=bmp_palette(60), colors=60
    )
    files["os2_palette_4.bmp"] = bmp(
        4, bmp_rows(4, lambda x, y: (x * 7 + y) % 16), palette=bmp_palette(16, 3), core=True
    )
    rgb555 = bmp_rows(16, lambda x, y: (x % 32) << 10 | (y % 32) << 5 | (x * y) % 32)
    files["rgb_555.bmp"] = bmp(16, rgb555)
    rgb565 = bmp_rows(16, lambda x, y: (x % 32) << 11 | (y * 3 % 64) << 5 | (x * y) % 32)
    files["rgb_565.bmp"] = bmp(16, rgb565, compression=3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
    rgbx = bmp_rows(32, lambda x, y: x * 9 << 24 | y * 13 << 16 | (x * y % 256) << 8)
    files["xbgr.bmp"] = bmp(32, rgbx, compression=3, masks=struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00))
    files["rle_8.bmp"] = bmp(8, rle8_rows(), compression=1, palette=bmp_palette(16), colors=16)
    files["rle_4.bmp"] = bmp(4, rle4_rows(), compression=2, palette=bmp_palette(16), colors=16)
    return files


def crc(image):
    return f"{zlib.crc32(image.tobytes()):08x}"


def describe(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    entry = {"height": image.height, "width": image.width, "crc32": crc(image)}
    if turned.tobytes() != image.tobytes() or turned.size != image.size:
        entry["turned"] = {"height": turned.height, "width": turned.width, "crc32": crc(turned)}
    return entry


def main():
    warnings.simplefilter("ignore")
    FILES.mkdir(exist_ok=True)
    images = {}
    for name, data in sorted(make_files().items()):
        (FILES / name).write_bytes(data)
        try:
            images[name] = describe(data)
        except Exception as error:
            raise SystemExit(f"{name}: {error}") from error
    golden = {
        "generator": "tests/goldens/image_decode/generate.py",
        "command": "python3 tests/goldens/image_decode/generate.py",
        "versions": {
            "Pillow": PIL.__version__,
            "libjpeg-turbo": features.version("libjpeg_turbo"),
            "libwebp": features.version("webp"),
        },
        "seed": None,
        "dtype": "uint8",
        "tolerance": "none: equal bytes, since both sides decode with integer arithmetic of the same libraries",
        "images": images,
    }
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
