"""The verb `compare`: compare the members, and poolings with as many seeds of one pooling."""

import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from oof.blends.limits import compute_cost_front
from oof.blends.problem import Problem
from oof.comparison.compare import compare_members
from oof.comparison.comparison_file import CostPoint, write_comparison
from oof.comparison.seed_noise import Verdict
from oof.members.member import collect_test_predictions
from oof.selection.bootstrap import BootstrapDraws
from pipeline.blending.compare_summary import describe_comparison
from pipeline.blending.level_one import build_problem, check_external_members, compute_prediction_costs
from pipeline.blending.provenance import MemberSource, trace_members
from pipeline.blending.run_members import RunMembers, gather_members
from pipeline.blending.saved_blend import COMPARISON
from pipeline.config.run_config import RunConfig
from pipeline.display import escape_controls, format_duration, print_line, print_warnings
from pipeline.fits.open_run import OpenRun, open_run
from pipeline.storage.checksums import write_sealed
from pipeline.storage.files import write_atomically
from pipeline.storage.locks import hold_lock

MANY_ROWS = 20_000  # above which draws take long
FEW_DRAWS = 300  # of that many rows
MOST_SEEDS = 3  # that the control proposes to train


def compare(config: RunConfig, folder: Path, *, folds: Sequence[int] | None = None, as_json: bool = False) -> None:
    """Compare the members, print the comparison (with `as_json` as one JSON object) and write `compare.json`."""
    run = open_run(config, folder, folds=folds)
    gathered = gather_members(run)
    print_warnings(gathered.left_out)
    problem = build_problem(run, gathered)
    external = [member.name for member in gathered.members if member.name in run.blend.extra]
    # all are trusted, so this only warns: a comparison uses no member
    check_external_members(gathered, problem, collect_test_predictions(gathered.members), trusted=external)
    sources = trace_members(gathered.members, gathered.rows, [job for job in run.jobs if job.fold in run.folds])
    draws = BootstrapDraws(len(problem), problem.component, None if len(problem) <= MANY_ROWS else FEW_DRAWS)
    with tqdm(draws, "comparing", draws.repeats, unit="draw", delay=2, leave=False, disable=None) as bar:
        compared = compare_members(problem, [source.member for source in sources], bar)
    by_name = {source.member.name: source for source in sources}
    comparison = replace(
        compared,
        adds=[by_name[added.name].add_costs(added) for added in compared.adds],
        front=_compute_front(problem, gathered, sources),
        folds=list(run.folds),
        fits=gathered.fits,
        missing_control=None if compared.control else _explain_missing_control(run, by_name, compared.verdicts),
    )
    with hold_lock(run.directory.root, "blend"), write_atomically(run.directory.oof / COMPARISON) as temporary:
        write_sealed(temporary, write_comparison, comparison.to_json(), {})
    if as_json:
        print_line(json.dumps(comparison.to_json(), ensure_ascii=False))
        return
    if run.is_restricted:
        print_line(f"restricted to folds {', '.join(map(str, run.folds))}\n")
    print_line(escape_controls(describe_comparison(comparison)))


def _compute_front(problem: Problem, gathered: RunMembers, sources: Sequence[MemberSource]) -> list[CostPoint]:
    """Return the best equal means of one member, two, and so on, and their costs; none if there is one fold only."""
    if problem.member_count < 2 or len(problem.folds) < 2:
        return []
    return [
        CostPoint(
            members=[sources[number].member.name for number in point.members],
            score=point.score,
            seconds=None if math.isnan(point.seconds) else point.seconds,
            megabytes=_sum_megabytes([sources[number] for number in point.members]),
        )
        for point in compute_cost_front(problem, compute_prediction_costs(gathered, 1000))
    ]


def _sum_megabytes(sources: Sequence[MemberSource]) -> float | None:
    """Return the megabytes of all fits of some members, each fit once; None if one is unknown."""
    sizes = {source.variant: source.megabytes and source.megabytes * source.shared for source in sources}
    measured = [size for size in sizes.values() if size is not None]
    return sum(measured) if len(measured) == len(sizes) else None


def _explain_missing_control(run: OpenRun, sources: dict[str, MemberSource], verdicts: Sequence[Verdict]) -> str:
    """Return which commands would make the control of as many seeds, and what it would cost."""
    lead = "no control of as many seeds of one pooling"
    groups = [[sources[name] for name in verdict.poolings] for verdict in verdicts]
    groups = [group for group in groups if all(source.shared == 1 for source in group)]
    if not groups:
        return f"{lead}: it needs two variants that differ in their pooling alone, each with fits of its own"
    group = max(groups, key=len)
    source = next((source for source in group if source.member.plain_mean), group[0])
    [first] = run.variants[str(source.variant)].settings.seeds  # with several there would be a control
    seeds = range(first, first + min(MOST_SEEDS, len(group)))
    override = f"variants.{source.variant}.seeds=[{','.join(map(str, seeds))}]"
    cost = format_duration(60 * (source.minutes or 0.0) * (len(seeds) - 1))
    return (
        f"{lead}; about {cost} would make it, and no finished fit is repeated:\n"
        f"  {run.commands.format('train')} --only {source.variant}{run.folds_option} {shlex.quote(override)}\n"
        f"  {run.commands.format('compare')}{run.folds_option} {shlex.quote(override)}"
    )
