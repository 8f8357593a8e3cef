"""The verb `compare`: does pooling matter here, and is it better than more seeds?"""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from oof.blends.limits import front
from oof.blends.problem import Problem
from oof.comparison.compare import compare as compare_members
from oof.comparison.compare import write_comparison
from oof.members.member import stack_tests
from oof.selection.bootstrap import Resamples
from pipeline.blending.compare_summary import describe
from pipeline.blending.level_one import check_extras, costs, level_one
from pipeline.blending.provenance import Origin, origins
from pipeline.blending.run_members import Gathered, gather, recorded_jobs
from pipeline.config.run_config import Config
from pipeline.data.competition import load_competition
from pipeline.data.fold_assignment import chosen_folds, open_folds
from pipeline.display import duration, printable, warn
from pipeline.storage.checksums import write_sealed
from pipeline.storage.files import atomic
from pipeline.storage.locks import only_one
from pipeline.storage.run_directory import run_directory

COMPARISON = "compare.json"
MANY_ROWS, FEW_DRAWS = 20_000, 300  # draws of so many rows take long
SEEDS = 3  # the control proposes no more than that
Plain = dict[str, Any]


def compare(config: Config, folder: Path, *, folds: Sequence[int] | None = None) -> None:
    """Compare the members, print it, and write `compare.json`."""
    competition = load_competition(config, folder)
    run = run_directory(config, folder)
    split = open_folds(run, config, competition, make=False)
    chosen = chosen_folds(split, folds)
    gathered = gather(run, config, folder, competition, split, chosen)
    warn(gathered.left_out)
    problem = level_one(gathered, competition, split)
    extras = [member.name for member in gathered.members if member.name in config.blend.extra]
    check_extras(gathered, problem, stack_tests(gathered.members), trusted=extras)  # to look is not to use: it warns
    jobs = recorded_jobs(run, config, competition, split, competition.test.sha256)
    known = origins(gathered.members, gathered.rows, [job for job in jobs if job.fold in chosen])
    draws = Resamples(len(problem), problem.component, None if len(problem) <= MANY_ROWS else FEW_DRAWS)
    with tqdm(draws, "comparing", draws.repeats, unit="draw", delay=2, leave=False, disable=None) as watched:
        found = compare_members(problem, [one.entrant for one in known], watched)
    for added, one in zip(found["adds"], known, strict=bool(found["adds"])):
        added.update(minutes=one.minutes, megabytes=one.megabytes, shared=one.shared)
    found = {**found, "front": _front(problem, gathered, known), "folds": chosen, "fits": gathered.fits}
    found["missing_control"] = None if found["control"] else _missing_control(config, known, found, folds)
    with only_one(run.root, "blend"), atomic(run.oof / COMPARISON) as temporary:
        write_sealed(temporary, write_comparison, found, {})
    if len(chosen) < len(split.numbers):
        print(f"restricted to folds {', '.join(map(str, chosen))}\n")
    print(printable(describe(found)))


def _front(problem: Problem, gathered: Gathered, known: Sequence[Origin]) -> list[Plain]:
    """The best equal means of one member, two, and so on, and their cost; none where no other fold can choose."""
    if problem.members < 2 or len(problem.folds) < 2:
        return []
    return [
        {
            "members": [known[at].entrant.name for at in point.members],
            "score": point.score,
            "seconds": None if math.isnan(point.seconds) else point.seconds,
            "megabytes": _size([known[at] for at in point.members]),
        }
        for point in front(problem, costs(gathered, 1000))
    ]


def _size(chosen: Sequence[Origin]) -> float | None:
    """Megabytes of all fits of some members, each fit once."""
    sizes = {one.variant: one.megabytes and one.megabytes * one.shared for one in chosen}
    known = [size for size in sizes.values() if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _missing_control(config: Config, known: Sequence[Origin], found: Plain, folds: Sequence[int] | None) -> str:
    """Which command would make the control of as many seeds, and what it would cost."""
    lead = "no control of as many seeds of one pooling"
    by_name = {one.entrant.name: one for one in known}
    groups = [[by_name[name] for name in verdict["poolings"]] for verdict in found["verdicts"]]
    groups = [group for group in groups if all(one.shared == 1 for one in group)]
    if not groups:
        return f"{lead}: it needs two variants that differ in their pooling alone, each with fits of its own"
    group = max(groups, key=len)
    one = next((one for one in group if one.entrant.plain_mean), group[0])
    [had] = config.settings(str(one.variant))["seeds"]  # with several there would be a control
    seeds = range(had, had + min(SEEDS, len(group)))
    override = f"variants.{one.variant}.seeds=[{','.join(map(str, seeds))}]"
    chosen = "" if folds is None else f" --folds {','.join(map(str, folds))}"
    cost = duration(60 * (one.minutes or 0.0) * (len(seeds) - 1))
    return (
        f"{lead}; about {cost} would make it, and no finished fit is repeated:\n"
        f"  {config.command('train')} --only {one.variant}{chosen} {shlex.quote(override)}\n"
        f"  {config.command('compare')}{chosen} {shlex.quote(override)}"
    )
