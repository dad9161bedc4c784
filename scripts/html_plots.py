"""Plots, tables and small pictures as HTML that needs no other file. Colours are the variables of the style of
`e5v eval`'s reports, so that they follow the reader's light or dark scheme."""
import base64
import re
import struct
import zlib
from html import escape

COLOURS = ("var(--a)", "var(--b)")


def signed(value):
    return f"{value:+.1f}".replace("-", "−")


def table(head, rows, css=""):
    cells = "".join("<tr>" + "".join(f"<td>{cell}" for cell in row) + "</tr>" for row in rows)
    head = "".join(f"<th>{cell}" for cell in head)
    return f"<div class=scroll><table class='{css}'><tr>{head}</tr>{cells}</table></div>"


# Plots are 360 units wide, about what a phone shows, and scaled up elsewhere. Names and figures stand above and beside
# what is drawn, never on it.

def figure(drawn, height, caption):
    spoken = escape(re.sub("<.*?>", "", caption))
    return (f'<figure><svg viewBox="0 0 360 {height}" role=img aria-label="{spoken}">{drawn}</svg>'
            f"<figcaption>{caption}</figcaption></figure>")


def whisker(low, high, y, colour):
    return f"<path d='M{low:.1f} {y - 3}v6m0-3H{high:.1f}m0-3v6' stroke='{colour}' stroke-width=1.5 fill=none />"


def bars(rows, caption, series=("",)):
    """Shares in percent with their intervals; a row is (label, a figure of each of the series)."""
    scale, top, pitch = 2.9, 4, 22 + 13 * len(series)
    bottom = top + pitch * len(rows)
    drawn = ""
    for share in (0, 25, 50, 75, 100):
        x = 4 + scale * share
        drawn += (f"<line x1={x} x2={x} y1={top} y2={bottom} stroke='var(--line)'/>"
                  f"<text x={x} y={bottom + 13} text-anchor=middle>{share}</text>")
    for row, (label, figures) in enumerate(rows):
        y = top + pitch * row
        drawn += f"<text class=ink x=4 y={y + 12}>{escape(label)}</text>"
        for i, (value, low, high) in enumerate(figures):
            middle = y + 22 + 13 * i
            drawn += (f"<rect x=4 y={middle - 5} width={scale * value:.1f} height=10 fill='{COLOURS[i]}'/>"
                      + whisker(4 + scale * low, 4 + scale * high, middle, "var(--ink)")
                      + f"<text class=ink x=356 y={middle + 4} text-anchor=end>{value:.1f}</text>")
    keys = "".join(f"<span class=key><i style='background:{colour}'></i>{escape(name)}</span>"
                   for name, colour in zip(series, COLOURS) if name)
    return figure(drawn, bottom + 18, caption + keys)


def forest(differences, caption):
    """Differences with their intervals, about the line of no difference."""
    least, most = min(0, *(d.low for d in differences)), max(0, *(d.high for d in differences))

    def x(value):
        return 8 + 200 * (value - least) / (most - least)
    top, pitch = 4, 34
    bottom = top + pitch * len(differences)
    drawn = f"<text x={x(0):.1f} y={bottom + 13} text-anchor=middle>0</text>"
    for row, d in enumerate(differences):
        y, interval = top + pitch * row, f"{signed(d.value)} ({signed(d.low)} to {signed(d.high)})"
        drawn += (f"<text class=ink x=4 y={y + 12}>{escape(d.label)}</text>"
                  f"<path d='M{x(0):.1f} {y + 16}v18' stroke='var(--soft)'/>"
                  + whisker(x(d.low), x(d.high), y + 24, "var(--a)")
                  + f"<circle cx={x(d.value):.1f} cy={y + 24} r=4 fill='var(--a)'/>"
                  f"<text class=ink x=356 y={y + 28} text-anchor=end>{interval}</text>")
    return figure(drawn, bottom + 18, caption)


def lighter_plane(html, every):
    """A plane of dots of `e5v eval gap`: each `every`th dot, those of a colour in one path, so a few of the bytes."""
    dots = {}
    for x, y, colour in re.findall(r"<circle cx=(\S+) cy=(\S+) r=\S+ fill='(.*?)'", html)[::every]:
        dots[colour] = dots.get(colour, "") + f"M{float(x):.0f} {float(y):.0f}h0"
    paths = "".join(f"<path d='{path}' stroke='{colour}' stroke-width=4.8 stroke-linecap=round stroke-opacity=.6 />"
                    for colour, path in dots.items())
    return re.sub("<circle.*/>", paths, html)


def unfiltered(raw, height, stride):
    """The rows of an RGB PNG; https://www.w3.org/TR/png-3/#9Filters."""
    rows, above = [], bytes(stride)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            left, corner = (line[i - 3], above[i - 3]) if i >= 3 else (0, 0)
            paeth = min((left, above[i], corner), key=lambda value: abs(left + above[i] - corner - value))
            line[i] = (line[i] + (0, left, above[i], (left + above[i]) // 2, paeth)[kind]) & 255
        rows.append(line)
        above = line
    return rows


def thumbnail(png):
    """A data URL of a PNG as `e5v` writes them (8 bits, RGB), with 16 levels a channel: the noise of the world's
    pictures is most of their bytes."""
    at, chunks = 8, {}
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        chunks[kind] = chunks.get(kind, b"") + png[at + 8:at + 8 + size]
        at += 12 + size
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    rows = unfiltered(zlib.decompress(chunks[b"IDAT"]), height, 3 * width)
    coarse = b"".join(b"\0" + bytes(value & 0xF0 | 8 for value in row) for row in rows)
    small = png[:8]
    for kind, content in ((b"IHDR", chunks[b"IHDR"]), (b"IDAT", zlib.compress(coarse, 9)), (b"IEND", b"")):
        small += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return "data:image/png;base64," + base64.b64encode(small).decode()


def picture(path):
    return f"<img alt='' width=48 height=48 src='{thumbnail(path.read_bytes())}'>"
