"""What each command of `vars-eval` does with its parsed arguments."""

import argparse
import hashlib
import os
from pathlib import Path

import timm
import torch

from vars_eval import benchmarks as registry
from vars_eval import store
from vars_eval.benchmark import Benchmark
from vars_eval.data import deep, paths
from vars_eval.data.check import DataSet
from vars_eval.data.classes import order_note, read_class_map
from vars_eval.data.faults import clauses
from vars_eval.distributed import World, world
from vars_eval.errors import UserError
from vars_eval.estimate import estimate_seconds
from vars_eval.model import (
    GMACS_CONVENTION,
    ModelInfo,
    ModelSpec,
    PixelModel,
    check_name,
    import_plugins,
    inspect,
    load_model,
)
from vars_eval.model_options import device_of, model_specs
from vars_eval.plan import Settings, Task, prepare
from vars_eval.progress import Progress
from vars_eval.report import tables
from vars_eval.report.claims import as_markdown, check, paper_claims, write_claims
from vars_eval.report.compare import comparison
from vars_eval.report.evidence import read_tables
from vars_eval.report.power import power_of_records, power_table
from vars_eval.report.rows import group
from vars_eval.report.seeds import comparison_of_seeds
from vars_eval.run import DataOptions, check_model, counter, describe, run_model, synthesize
from vars_eval.run import check_data as check_tasks

_FAULTS_SHOWN = 20


def _settings(arguments: argparse.Namespace) -> Settings:
    """The settings, checked."""
    try:
        first, count = (int(part) for part in str(arguments.shard).split("/"))
        if not 1 <= first <= count:
            raise ValueError
    except ValueError as error:
        raise UserError(f"--shard is {arguments.shard}; expected I/N with 1 <= I <= N, for example 2/8.") from error
    return Settings(
        out=Path(arguments.out),
        device=device_of(arguments.device),
        precision=f"amp-{arguments.amp}" if arguments.amp else "float32",
        seed=arguments.seed,
        limit=arguments.limit,
        transform=arguments.transform,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
        compile=arguments.compile,
        fresh=arguments.fresh,
        shard=(first - 1, count),
    )


def _class_map(name: str | None) -> Path | None:
    return Path(name).expanduser() if name else None


def _missing(arguments: argparse.Namespace) -> None:
    """Says in one sentence what a run still needs."""
    example = f"vars-eval run --bench {(arguments.bench or ['imagenet-c'])[0]} --model deit_tiny_vars_sd"
    if not arguments.bench:
        raise UserError(f"No benchmark is given; pass --bench with one of {', '.join(registry.all_benchmarks())}.")
    if not arguments.model:
        raise UserError(
            f"No model is given for {', '.join(arguments.bench)}; pass --model NAME, --checkpoint FILE where none is "
            f"published, and --data-dir PATH: {example} --checkpoint W.pth --data-dir D (or try "
            f"{example} --synthetic)."
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _dry_run(spec: ModelSpec, tasks: list[Task], settings: Settings, imported: list[str]) -> None:
    """Prints what a run would do for one model."""
    model = prepare(load_model(spec, imported, settings.seed), settings)
    check_model(model, tasks, settings)
    for task in tasks:
        cells, images = len(task.cells), task.images(settings.limit)
        time = _duration(estimate_seconds(model, [task], settings))
        print(f"{spec.name}: {task.benchmark.name}: {cells} cells, {images:,} images, about {time}")
    print("\n".join(f"  {line}" for line in describe(tasks, model, settings)))


def run(arguments: argparse.Namespace) -> int:
    """`vars-eval run`."""
    _missing(arguments)
    chosen = [registry.load(text) for text in arguments.bench]
    settings = _settings(arguments)
    specs = model_specs(arguments, arguments.synthetic)
    imported = import_plugins(arguments.imports)
    for spec in specs:
        check_name(spec.name, imported)
    datasets = list(dict.fromkeys(benchmark.dataset for benchmark in chosen))
    with world() as processes:
        if processes.main and not arguments.dry_run:
            store.check_writable(settings.out)
        if arguments.synthetic:
            found = synthesize(chosen, settings.out, settings.seed, processes)
        else:
            known = sorted({kind.dataset for kind in registry.all_benchmarks().values()})
            found = paths.resolve(datasets, *paths.parse(arguments.data_dir, known))
        options = DataOptions(
            found, arguments.classes == "folders", arguments.allow_partial, _class_map(arguments.class_map)
        )
        tasks = check_tasks(chosen, options)
        if arguments.dry_run:
            for spec in specs:
                _dry_run(spec, tasks, settings, imported)
            return 0
        return _score(specs, tasks, settings, imported, processes)


def _score(specs: list[ModelSpec], tasks: list[Task], settings: Settings, imported: list[str], processes: World) -> int:
    """Scores every model and writes the report."""

    def load(spec: ModelSpec) -> PixelModel:
        model = load_model(spec, imported, settings.seed)
        check_model(model, tasks, settings)
        return model

    # A mistake in the last of several models is told now, and not after hours.
    if len(specs) > 1:
        for spec in specs:
            load(spec)
    images = len(specs) * sum(task.work(settings.limit) for task in tasks) // settings.shard[1]
    progress = Progress(images, processes.main)
    failed = total = 0
    done: list[Path] = []
    try:
        for number, spec in enumerate(specs):
            model = load(spec)
            if number == 0:
                progress.say("\n".join(describe(tasks, model, settings)))
            records = run_model(model, tasks, settings, processes, progress)
            failed += sum(not record.done for record in records)
            total += len(records)
            done += [record.key.path(settings.out) for record in records if record.done]
    finally:
        progress.close()
    if processes.main:
        written = tables.write(settings.out)
        print(tables.summary(settings.out, [spec.name for spec in specs]))
        print(f"{total - failed} of {total} cells done; {', '.join(str(path) for path in written)}")
    if failed:
        progress.say(f"{failed} of {total} cells failed; put the cause right and run the same command again.")
    lost = [path for path in done if processes.main and not path.is_file()]
    if lost:
        progress.say(
            f"{len(lost)} of {total} records are no longer there ({lost[0]}, ...); run the same command again, and let "
            f"nothing else remove files of {settings.out}."
        )
    return 1 if failed or lost else 0


def _facts(name: str) -> ModelInfo:
    """Sizes of a model, from the meta device, which takes no time, where it can be built there."""
    try:
        with torch.device("meta"):
            return inspect(timm.create_model(name), name, weights="", weights_from="none")
    except (RuntimeError, UserError):  # some models read values while they are built or run
        return inspect(timm.create_model(name), name, weights="", weights_from="none")


def ls(arguments: argparse.Namespace) -> int:
    """`vars-eval ls`."""
    for name, kind in registry.all_benchmarks().items():
        benchmark = kind()
        cells = len(benchmark.layout.cells) * len(benchmark.variants)
        print(f"{name}: {benchmark.summary}")
        print(f"  data: {benchmark.dataset}, {benchmark.layout.tree()}; {benchmark.layout.source}")
        print(f"  protocol: {'; '.join(f'{key}: {value}' for key, value in benchmark.protocol().items())}")
        print(f"  transform: {benchmark.transform(224).description}; {cells} cell{'s' if cells > 1 else ''}")
        if benchmark.options():
            print(f"  options: {', '.join(f'{key}={value}' for key, value in benchmark.options().items())}")
    imported = import_plugins(arguments.imports)
    if arguments.filter is None:
        print(f"models: any of timm's {len(timm.list_models()):,}; vars-eval ls {imported[0] if imported else '*vit*'}")
        return 0
    names = timm.list_models("" if arguments.filter in imported else arguments.filter)
    if arguments.filter in imported:
        names = [name for name in names if timm.model_entrypoint(name).__module__.split(".")[0] == arguments.filter]
    if not names:
        raise UserError(f"No model matches {arguments.filter!r} (imported: {', '.join(imported)}).")
    print(f"\n{'model':32s} {'trainable M':>11s} {'all M':>8s} {'GMACs':>7s} {'input':>6s}   ({GMACS_CONVENTION})")
    for name in names:
        info = _facts(name)
        print(
            f"{name:32s} {info.params_trainable / 1e6:11.3f} {info.params_all / 1e6:8.3f} {info.gmacs:7.3f} "
            f"{'x'.join(map(str, dict.fromkeys(info.input_size))):>6s}"
        )
    return 0


def check_data(arguments: argparse.Namespace) -> int:
    """`vars-eval check-data`."""
    benchmark = registry.load(arguments.bench)
    known = sorted({kind.dataset for kind in registry.all_benchmarks().values()})
    plain, named = paths.parse(arguments.data_dir, known)
    path = paths.resolve([benchmark.dataset], plain, named)[benchmark.dataset]
    print(f"expected: {benchmark.layout.tree()}; {benchmark.layout.source}")
    file = _class_map(arguments.class_map)
    class_map = read_class_map(file) if file else ()
    dataset = benchmark.check(path, arguments.classes == "folders", counter(benchmark.dataset), class_map)
    if not dataset.layout.official:
        print(f"expected by its own account ({dataset.layout.name}): {dataset.layout.tree()}")
    cells = f"{len(dataset.cells)} of {len(dataset.layout.cells)} cells"
    print(f"found: {dataset.images:,} images in {cells} at {dataset.root}")
    if dataset.own_classes and (note := order_note(dataset.layout.classes)):
        print(f"note: {note}")
    for gap in dataset.gaps:
        print(f"missing: {gap}")
    broken = _deep(benchmark, dataset, arguments) if arguments.deep else 0
    if dataset.gaps:
        print("incomplete: `vars-eval run` needs --allow-partial and marks the row")
    elif broken:
        print("complete, but not every image can be decoded: `vars-eval run` would fail")
    else:
        print("complete")
    return 1 if dataset.gaps or broken else 0


def _deep(benchmark: Benchmark, dataset: DataSet, arguments: argparse.Namespace) -> int:
    """Opens every image and prints what was found; the number that cannot be decoded."""
    if arguments.workers < 0:
        raise UserError(f"--workers is {arguments.workers}; expected at least 0.")
    files = deep.files(dataset)
    place = hashlib.sha256(os.fsencode(dataset.root.resolve())).hexdigest()[:8]
    report = Path(arguments.out) / "check_data" / f"{benchmark.dataset}-{place}.json"
    progress = Progress(len(files))
    progress.start("decoding")
    try:
        found = deep.examine(files, report, arguments.workers, progress.advance)
    finally:
        progress.close()
    faults = [seen.fault for seen in found.values() if seen.fault]
    for fault in faults[:_FAULTS_SHOWN]:
        print(f"broken: {fault}")
    kinds: dict[str, list[Path]] = {}
    for path, seen in found.items():
        for remark in seen.remarks:
            kinds.setdefault(f"with {remark}", []).append(path)
    for text, groups in (("of the same bytes", deep.doubles(found)), ("of one name", deep.equal_stems(found))):
        if groups:
            kinds[f"groups {text}, the first"] = [path for group in groups for path in group[:1]]
    for line in clauses(kinds, dataset.root):
        print(f"note: {line}")
    print(f"decoded: {len(found) - len(faults):,} of {len(found):,} images; all findings: {report}")
    return len(faults)


def report(arguments: argparse.Namespace) -> int:
    """`vars-eval report`."""
    for path in tables.write(Path(arguments.out), arguments.reference):
        print(path)
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """`vars-eval compare`."""
    records = list(store.records(Path(arguments.out)))
    first, second = arguments.models
    if arguments.group_by:
        print(comparison_of_seeds(records, first, second, arguments.group_by))
    else:
        print(comparison(records, first, second))
    return 0


def power(arguments: argparse.Namespace) -> int:
    """`vars-eval power`."""
    alpha, share = arguments.alpha, arguments.power
    if not arguments.models:
        print(power_table(arguments.n, arguments.accuracy, arguments.discordance, alpha, share))
        return 0
    if len(arguments.models) != 2:
        raise UserError(f"power got {len(arguments.models)} model(s); name two, or none with --n and --accuracy.")
    first, second = arguments.models
    print(power_of_records(list(store.records(Path(arguments.out))), first, second, alpha, share))
    return 0


def claims(arguments: argparse.Namespace) -> int:
    """`vars-eval claims`."""
    out = Path(arguments.out)
    # Without any record the table still says what would test each claim.
    rows = group(store.records(out)) if (out / store.FOLDER).is_dir() else []
    findings = check(paper_claims(), rows, read_tables(Path(name) for name in arguments.figures))
    written = write_claims(findings, out)
    print(as_markdown(findings))
    for path in written:
        print(path)
    return 0
