"""A vision model measures the picture's own pixels, and says so."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import struct
import subprocess
import sys
import zlib
from random import Random
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from helpers.practice.engines import Ask
from helpers.practice.engines.script import Script
from helpers.practice.engines.vision import MOST_PIXELS, Area, BadPicture, colour_name, look
from helpers.practice.options import complete

SCRIPT = Script()
FORMATS = ["PNG", "JPEG", "WEBP", "GIF"]


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, form)
    return out.getvalue()


def plain(colour: str, size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, colour)


def shapes() -> Image.Image:
    image = plain("white", (640, 480))
    draw = ImageDraw.Draw(image)
    draw.ellipse((40, 180, 180, 320), fill="red")
    draw.rectangle((450, 300, 600, 450), fill="blue")
    return image


def noise() -> Image.Image:
    return Image.frombytes("RGB", (200, 200), Random(1).randbytes(120_000))


def said(text: str, *pictures: bytes, **more: Any) -> str:
    message = {"role": "user", "content": text, "images": list(pictures)}
    ask = Ask([message], complete({"temperature": 0.0}), "1", **more)

    async def collect() -> str:
        return "".join([piece.text async for piece in SCRIPT.reply(ask)])

    return asyncio.run(collect())


@pytest.mark.parametrize("form", FORMATS)
def test_size_kind_and_colour_are_measured(form: str) -> None:
    seen = look(encoded(plain("red", (123, 45)), form))
    assert (seen.kind, seen.width, seen.height, seen.texture) == (form, 123, 45, "even")
    assert seen.colours == (("red", 1.0),)


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        ("#000000", "black"),
        ("#ffffff", "white"),
        ("#808080", "grey"),
        ("#ff0000", "red"),
        ("#ffa500", "orange"),
        ("#ffff00", "yellow"),
        ("#00ff00", "green"),
        ("#008000", "green"),
        ("#40e0d0", "turquoise"),
        ("#0000ff", "blue"),
        ("#000080", "blue"),
        ("#800080", "purple"),
        ("#ffc0cb", "pink"),
        ("#8b4513", "brown"),
    ],
)
def test_colours_have_their_everyday_names(colour: str, name: str) -> None:
    assert colour_name(*(int(colour[i : i + 2], 16) for i in (1, 3, 5))) == name


def test_shares_of_colours_are_right() -> None:
    image = plain("blue", (100, 100))
    ImageDraw.Draw(image).rectangle((0, 0, 99, 24), fill="yellow")
    shares = dict(look(encoded(image)).colours)
    assert abs(shares["yellow"] - 0.25) < 0.02 and abs(shares["blue"] - 0.75) < 0.02


def test_areas_are_found_where_they_are() -> None:
    assert look(encoded(shapes())).areas == (Area("blue", "right", "bottom"), Area("red", "left", "middle"))


@pytest.mark.parametrize(
    ("image", "texture"),
    [
        (plain("green"), "even"),
        (shapes(), "chart"),
        (noise(), "noise"),
        (Image.linear_gradient("L"), "gradient"),
    ],
    ids=["even", "chart", "noise", "gradient"],
)
def test_texture_is_told(image: Image.Image, texture: str) -> None:
    assert look(encoded(image)).texture == texture


def test_brightness_goes_from_black_to_white() -> None:
    dark, grey, bright = (look(encoded(plain(colour))).brightness for colour in ("black", "grey", "white"))
    assert dark < 0.01 < grey < 0.99 < bright


def test_what_is_transparent_is_seen_on_white() -> None:
    assert look(encoded(Image.new("RGBA", (20, 20), (255, 0, 0, 0)))).colours == (("white", 1.0),)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_mode_of_pixels_can_be_read(mode: str) -> None:
    form = "JPEG" if mode == "CMYK" else "PNG"
    assert look(encoded(Image.new(mode, (300, 200)), form)).width == 300


def test_the_answer_follows_the_question() -> None:
    picture = encoded(shapes())
    assert said("How big is this picture?", picture) == "Measured: 640 x 480 pixels (PNG)."
    assert said("What colours are there?", picture).startswith("Mostly white. Measured: white (87 %)")
    assert "red: on the left" in said("Where is the red circle?", picture)
    assert "bright" in said("How bright is it?", picture)
    whole = said("Describe this picture.", picture)
    assert all(
        word in whole for word in ("640 x 480", "white", "blue", "bottom right", "measured", "recognise")
    )
    assert "Rot: links" in said("Was siehst du auf dem Bild?", picture)


def test_several_pictures_are_told_apart() -> None:
    told = said("What colours?", encoded(plain("red")), encoded(plain("blue")))
    assert "1: red" in told and "2: blue" in told


def test_a_schema_is_filled_from_the_pixels() -> None:
    wanted = {"type": "object", "properties": {"colour": {"type": "string"}, "width": {"type": "integer"}}}
    assert json.loads(said("Look", encoded(plain("green", (64, 32))), format=wanted)) == {
        "colour": "green",
        "width": 64,
    }


def png_of(width: int, height: int) -> bytes:
    """A picture that says it has `width` x `height` pixels and holds none."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        encoded(shapes())[:200],
        encoded(shapes(), "JPEG")[:60],
        png_of(100_000, 100_000),
        png_of(0, 0),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0",
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "bomb", "no pixels", "svg", "eps"],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadPicture):
        look(data)


def test_a_bomb_is_named_for_what_it_is() -> None:
    side = int(MOST_PIXELS**0.5) + 1
    with pytest.raises(BadPicture, match="too large"):
        look(png_of(side, side))


def test_pillow_is_not_loaded_before_a_picture_comes() -> None:
    code = "import sys, helpers.practice.server; print('PIL' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_goes_over_http(client: httpx.Client, form: str) -> None:
    image = base64.b64encode(encoded(plain("purple", (50, 20)), form)).decode()
    message = {"role": "user", "content": "What colour is it?", "images": [image]}
    asked = {"model": "gemma3:4b", "messages": [message], "stream": False}
    assert "purple" in client.post("/api/chat", json=asked).json()["message"]["content"]


def test_a_bad_picture_gets_llama_cpps_error(client: httpx.Client) -> None:
    image = base64.b64encode(b"no picture").decode()
    reply = client.post("/api/generate", json={"model": "gemma3:4b", "prompt": "x", "images": [image]})
    error = json.loads(reply.json()["error"])["error"]
    assert (reply.status_code, error["message"]) == (400, "Failed to load image or audio file")
