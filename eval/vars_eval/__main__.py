"""`python -m vars_eval run ...`, also under torchrun: `torchrun --nproc-per-node 8 -m vars_eval run ...`."""

import sys

from vars_eval.cli import main

if __name__ == "__main__":
    sys.exit(main())
