"""Reads text files as editors and spreadsheets of all systems write them."""

import codecs
import csv
from pathlib import Path

from vars_eval.errors import UserError

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATORS = ",;\t"


def read_text(path: Path, what: str) -> str:
    """A text file in UTF-8, or in UTF-16 with its mark; line ends are those of Unix, a mark at the start is dropped.

    Args:
        path: The file.
        what: What it is, for a sentence: "The fixations".

    Raises:
        UserError: It cannot be read, or is no such text.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-16" if data.startswith(_WIDE) else "utf-8-sig")
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read ({error.strerror}); check the file.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{what} {path} cannot be read (no text in UTF-8); save it in UTF-8.") from error
    if "\0" in text:
        raise UserError(f"{what} {path} cannot be read (it holds zero bytes); save it as text in UTF-8.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_table(path: Path, what: str) -> dict[str, list[str]]:
    """Columns of a CSV file separated by commas, semicolons or tabs; every cell is text, and none is "missing".

    Args:
        path: The file; its first line names the columns, whose case does not count.
        what: As in `read_text`.

    Returns:
        Name in lower case -> cells, without blanks around them.

    Raises:
        UserError: It cannot be read, a name stands twice, or a row has another number of cells than the first.
    """
    lines = read_text(path, what).split("\n")
    if not lines[0].strip():
        raise UserError(f"{what} {path} cannot be read (the first line is empty); expected the names of the columns.")
    separator = max(_SEPARATORS, key=lines[0].count)
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise UserError(f"{what} {path} cannot be read ({error}); expected a CSV file.") from error
    names = [name.strip().lower() for name in rows[0]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{what} {path} have two columns called {twice!r}; remove one.")
    cells: list[list[str]] = []
    for number, row in enumerate(rows[1:], start=1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(names):
            raise UserError(
                f"{what} {path} have {len(row)} cells in row {number}, expected {len(names)} as in the first line; "
                "write numbers with a point and names with a comma in quotes."
            )
        cells.append([cell.strip() for cell in row])
    return {name: [row[place] for row in cells] for place, name in enumerate(names)}
