"""Draws the example pictures: python3 examples/pictures/draw.py (needs Pillow)."""

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent
SCALE = 3  # drawn larger and shrunk, for smooth edges


def canvas(width, height, top, bottom):
    """A vertical gradient between two colours."""
    image = Image.new("RGB", (width * SCALE, height * SCALE))
    draw = ImageDraw.Draw(image)
    for y in range(image.height):
        t = y / image.height
        draw.line([(0, y), (image.width, y)], fill=tuple(round(a + (b - a) * t) for a, b in zip(top, bottom)))
    return image, ImageDraw.Draw(image)


def disc(draw, x, y, r, fill):
    draw.ellipse([(x - r) * SCALE, (y - r) * SCALE, (x + r) * SCALE, (y + r) * SCALE], fill=fill)


def polygon(draw, points, fill):
    draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)


def rectangle(draw, x0, y0, x1, y1, fill):
    draw.rectangle([x0 * SCALE, y0 * SCALE, x1 * SCALE, y1 * SCALE], fill=fill)


def save(image, name, **options):
    image = image.resize((image.width // SCALE, image.height // SCALE), Image.LANCZOS)
    image.filter(ImageFilter.GaussianBlur(0.3)).save(FOLDER / name, **options)


def sunset():
    image, draw = canvas(320, 240, (40, 30, 90), (250, 140, 60))
    disc(draw, 160, 165, 38, (255, 225, 130))
    rectangle(draw, 0, 170, 320, 240, (30, 40, 80))
    for i in range(12):
        rectangle(draw, 160 - 40 + 2 * i, 174 + 5 * i, 160 + 40 - 2 * i, 175 + 5 * i, (250, 190, 110))
    save(image, "sunset.jpg", quality=88)


def mountains():
    image, draw = canvas(400, 220, (120, 180, 240), (225, 240, 255))
    polygon(draw, [(0, 220), (90, 70), (180, 220)], (100, 110, 130))
    polygon(draw, [(110, 220), (230, 40), (350, 220)], (120, 130, 150))
    polygon(draw, [(196, 92), (230, 40), (264, 92), (243, 82), (230, 96), (214, 84)], (250, 250, 255))
    rectangle(draw, 0, 190, 400, 220, (70, 140, 70))
    save(image, "mountains.webp", quality=85)


def house():
    image, draw = canvas(280, 280, (150, 205, 245), (215, 235, 250))
    rectangle(draw, 0, 210, 280, 280, (90, 165, 80))
    rectangle(draw, 80, 130, 200, 230, (205, 90, 70))
    polygon(draw, [(66, 132), (140, 70), (214, 132)], (110, 60, 50))
    rectangle(draw, 126, 170, 156, 230, (90, 55, 40))
    for x in (96, 168):
        rectangle(draw, x, 150, x + 18, 168, (250, 235, 160))
    save(image, "house.png", optimize=True)


def night():
    image, draw = canvas(240, 320, (8, 10, 35), (30, 35, 80))
    stars = random.Random(7)
    for _ in range(90):
        disc(draw, stars.uniform(0, 240), stars.uniform(0, 250), stars.uniform(0.4, 1.4), (235, 235, 255))
    disc(draw, 170, 80, 30, (245, 240, 210))
    disc(draw, 158, 72, 27, (13, 16, 46))
    for x, h in ((0, 60), (45, 95), (95, 45), (140, 80), (190, 55)):
        rectangle(draw, x, 320 - h, x + 42, 320, (5, 6, 15))
    save(image, "night.png", optimize=True)


def flower():
    image, draw = canvas(300, 300, (205, 235, 190), (140, 195, 120))
    rectangle(draw, 147, 150, 153, 300, (50, 120, 50))
    for i in range(8):
        angle = math.tau * i / 8
        disc(draw, 150 + 45 * math.cos(angle), 120 + 45 * math.sin(angle), 28, (225, 60, 110))
    disc(draw, 150, 120, 30, (250, 205, 60))
    save(image, "flower.jpg", quality=88)


def ball():
    image, draw = canvas(360, 240, (190, 220, 245), (235, 245, 250))
    rectangle(draw, 0, 160, 360, 240, (95, 170, 85))
    draw.ellipse([150 * SCALE, 196 * SCALE, 246 * SCALE, 214 * SCALE], fill=(70, 130, 65))
    disc(draw, 195, 165, 42, (200, 35, 40))
    disc(draw, 181, 150, 11, (240, 140, 140))
    save(image, "ball.png", optimize=True)


for draw_picture in (sunset, mountains, house, night, flower, ball):
    draw_picture()
