"""`python eval/gaze.py --model ...`: `vars-eval run --bench mit1003-nss ...`, also from a bare checkout."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# This folder is on the path already; the repository root, for vars_timm, is not. Installed packages go first.
sys.path.append(str(HERE.parent))

from vars_eval.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["run", "--bench", "mit1003-nss", *sys.argv[1:]]))
