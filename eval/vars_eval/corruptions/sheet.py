"""A contact sheet: every corruption at every severity, on one photograph."""

from PIL import Image, ImageDraw, ImageFont

from vars_eval.corruptions.apply import corrupt
from vars_eval.corruptions.names import NAMES, SEVERITIES
from vars_eval.corruptions.verify import photographs

_TILE, _LABEL, _GAP = 112, 128, 3


def contact_sheet(seed: int = 0) -> Image.Image:
    """All corruptions in two columns of rows, each with its five severities from left to right."""
    photograph = photographs(224, 1)
    rows = -(-len(NAMES) // 2)
    width = _LABEL + len(SEVERITIES) * (_TILE + _GAP)
    sheet = Image.new("RGB", (2 * width, rows * (_TILE + _GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, name in enumerate(NAMES):
        left, top = number // rows * width, number % rows * (_TILE + _GAP)
        draw.text((left + 6, top + _TILE // 2 - 8), name.replace("_", "\n"), "black", font)
        for place, severity in enumerate(SEVERITIES):
            picture = corrupt(photograph, name, severity, seed)[0].permute(1, 2, 0).contiguous().numpy()
            tile = Image.fromarray(picture).resize((_TILE, _TILE), Image.Resampling.BOX)
            sheet.paste(tile, (left + _LABEL + place * (_TILE + _GAP), top))
    return sheet
