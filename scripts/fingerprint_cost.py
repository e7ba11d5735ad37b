"""Time to fingerprint a folder of images: reading all, and knowing from the index that none has changed.

    PYTHONPATH=eval python scripts/fingerprint_cost.py --images 50000 --bytes 110000

Writes random files below a temporary folder, and removes them.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from vars_eval.benchmark import Content
from vars_eval.contents import Contents
from vars_eval.data.tree import list_cell
from vars_eval.plan import select_images


def main() -> None:
    """Prints the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--bytes", type=int, default=110_000, help="size of a file")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dir", help="where to write; the system's temporary folder by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        root, out = Path(name) / "data", Path(name) / "out"
        content = bytearray(os.urandom(arguments.bytes))
        for number in range(arguments.images):
            if number % 50 == 0:
                folder = root / f"n{number // 50:08}"
                folder.mkdir(parents=True)
            content[:8] = number.to_bytes(8, "little")
            (folder / f"ILSVRC2012_val_{number:08}.JPEG").write_bytes(content)
        time.sleep(2.1)  # younger files are not trusted
        for what in ("reading all files", "from the index"):
            listing = list_cell(root)
            start = time.perf_counter()
            contents = Contents(Content(listing, ""), select_images(listing, None), out, threads=arguments.threads)
            contents.look()
            contents.read(contents.files)
            found = contents.fingerprint
            middle = time.perf_counter()
            contents.save()
            end = time.perf_counter()
            each = (middle - start) / arguments.images
            print(f"{what}: {middle - start:.2f} s, {1e6 * each:.0f} us a file; index written in {end - middle:.2f} s")
            print(f"  3.75 million files at this rate: {3.75e6 * each / 60:.1f} min; {found}")
        size = sum(path.stat().st_size for path in (out / "index").iterdir())
        print(f"index: {size / 1e6:.1f} MB, {size / arguments.images:.0f} bytes a file")


if __name__ == "__main__":
    main()
