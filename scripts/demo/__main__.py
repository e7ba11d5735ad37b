"""The whole suite in minutes: VARS models and baselines trained on real digits and scored, beside a real classifier.

`make demo`, or `python scripts/demo [--seed N] [--epochs N] [--shuffle-labels]`; all of it goes to `demo/seedN`, anew
each time.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import time
from functools import partial

import digits
import figure
import imagenet20
from mixers import MIXERS, Options, ignore_interrupts, train_and_score, vars_eval_command


def score_real_classifier(options: Options) -> None:
    """A pretrained ImageNet model on 20 real pictures: clean, corrupted and attacked."""
    data = imagenet20.write_tree(options.out / "data")
    weights = options.out / "weights" / "efficientnet_lite0.safetensors"
    imagenet20.write_weights(weights)
    vars_eval_command(
        *("run", "--bench", "imagenet", f"imagenet-c-fly:only={'+'.join(imagenet20.CORRUPTIONS)}", "pgd"),
        *("--model", imagenet20.MODEL, "--checkpoint", weights),
        *("--data-dir", data, "--allow-partial", "--batch-size", "20", "--out", options.results),
    )


def score_digits(options: Options) -> None:
    """All mixers, as many at a time as there are cores, one thread each."""
    _, _, pictures, labels = digits.load()
    tree = options.out / "data" / "digits"
    digits.write_tree(tree, pictures, labels)
    workers = min(len(MIXERS), os.cpu_count() or 1)
    print(f"\ntraining {len(MIXERS)} models on real digits, {workers} at a time", flush=True)
    score = partial(train_and_score, options=options, pictures=tree)
    with multiprocessing.get_context("spawn").Pool(workers, ignore_interrupts) as pool:
        for printed in pool.imap_unordered(score, MIXERS):
            print(printed, flush=True)
        pool.close()
        pool.join()


def main() -> None:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="weights, order, augmentation and attacks (default: 0)")
    parser.add_argument("--epochs", type=int, default=10, help="training epochs (default: 10)")
    parser.add_argument("--shuffle-labels", action="store_true", help="train on shuffled labels: falls to chance")
    options = Options(**vars(parser.parse_args()))
    started = time.time()
    shutil.rmtree(options.out, ignore_errors=True)
    (options.out / "weights").mkdir(parents=True)
    score_real_classifier(options)
    score_digits(options)
    vars_eval_command("report", "--out", options.results)
    picture = options.out / "accuracy_against_severity.png"
    figure.draw(options.results / "results.csv", picture)
    print("\n" + (options.results / "leaderboard.md").read_text())
    print(f"done in {time.time() - started:.0f} s")
    print(f"leaderboard: {options.results / 'leaderboard.csv'}")
    print(f"table:       {options.results / 'leaderboard.md'}")
    print(f"figure:      {picture}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the same command starts over")
