"""The section with the verdict: the scores of the blend, its weights, the candidates, and the next steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from models.store import digest
from oof.blends.blend_file import SavedBlend, TriedBlend
from pipeline.blending.saved_blend import list_new_members, read_submission_record
from pipeline.errors import PROBLEMS
from pipeline.fits.plan import select_jobs
from pipeline.reporting.report_inputs import ReportInputs
from pipeline.reporting.svg_figure import (
    COLOURS,
    Figure,
    compute_height,
    draw_figure,
    list_on_axis,
    replace_missing,
    shorten_label,
)

VERBS = {"blend": "blend", "comparison": "compare"}  # that make what is missing
EQUAL_WEIGHTS = {"mean", "geometric_mean", "logit_mean", "rank_mean"}  # blends that fit nothing
MEANINGS = {
    "in-sample": "on the rows that chose {chosen}, so it tends to be optimistic",
    "cross-fitted": "{chosen} chosen on the other folds: the score to trust, of a blend of single-fold models",
    "corrected for the choice": "cross-fitted, less the optimism of choosing the best of several blends (BBC-CV)",
}
MEANINGS_OF_EQUAL_WEIGHTS = {
    **MEANINGS,
    "in-sample": "equal weights, which were not fitted on any row, so it is not optimistic",
    "cross-fitted": "the same, as nothing is chosen: the score to trust, of a blend of single-fold models",
}


@dataclass(frozen=True)
class NamedScore:
    """A score of the blend, with its 95 % interval if it has one, and its meaning in words."""

    name: str
    value: float
    interval: tuple[float, float] | None
    meaning: str


class Step(NamedTuple):
    """What to do next: a reason, and a command if there is one."""

    reason: str
    command: str | None


def compute_scores(inputs: ReportInputs) -> list[NamedScore]:
    """Return each score that the blend has; none without a blend."""
    if inputs.blend is None:
        return []
    scores, chosen = inputs.blend.scores, _name_chosen_parts(inputs.blend)
    values = {
        "in-sample": scores.in_sample,
        "cross-fitted": scores.cross_fitted,
        "corrected for the choice": scores.corrected,
    }
    meanings = MEANINGS if chosen else MEANINGS_OF_EQUAL_WEIGHTS
    return [
        NamedScore(
            name=name,
            value=value,
            interval=scores.interval if name == "cross-fitted" else None,
            meaning=meanings[name].format(chosen=chosen),
        )
        for name, value in values.items()
        if value is not None
    ]


def list_next_steps(inputs: ReportInputs) -> list[Step]:
    """Return what to do next, in order."""
    run, blend = inputs.run, inputs.blend
    steps = _find_training_steps(inputs)
    for name, verb in VERBS.items():
        if name in inputs.missing:
            steps.append(Step(inputs.missing[name], inputs.format_command(verb)))
    if blend is None:
        return steps
    if new := list_new_members(run, blend):
        return [*steps, Step(f"the blend does not know {', '.join(new)}", inputs.format_command("blend"))]
    if blend.test_table != run.competition.test.sha256:
        return [*steps, Step("the blend is of another test table", inputs.format_command("blend"))]
    if is_submitted(inputs):
        return [*steps, Step(f"the blend is submitted: hand in {run.submission.file}", None)]
    return [*steps, Step("when all is as you want it, fill the sample submission", inputs.format_command("submit"))]


def is_submitted(inputs: ReportInputs) -> bool:
    """Return True if the submission holds the blend."""
    if inputs.blend is None:
        return False
    try:
        record = read_submission_record(inputs.run.directory.submissions / inputs.run.submission.file)
    except PROBLEMS:  # it was changed since: the blend is to be submitted again
        return False
    made_of = digest(inputs.blend.to_json())
    return record is not None and record.get("of") == "blend" and record.get("blend") == made_of


def draw_weights(weights: dict[str, float]) -> Figure:
    """Draw bars of the members' weights in the blend."""
    ranked = sorted(weights.items(), key=lambda item: -item[1])
    labels = [shorten_label(name) for name, _ in ranked]
    values = [value for _, value in ranked]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.barh(range(len(labels)), values, color=COLOURS["one"], height=0.6)
        list_on_axis(axes, labels)
        for row, value in enumerate(values):
            axes.annotate(f"{value:.3f}", (value, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_xlim(0, max(values) * 1.12)
        axes.set_xlabel("weight in the blend")

    unused = values.count(0)
    text = f"The largest weight is {values[0]:.3f}, of {ranked[0][0]}"
    text += f"; {unused} of {len(values)} members {'have' if unused > 1 else 'has'} weight 0." if unused else "."
    if values[0] == values[-1]:
        text = f"The {len(values)} members have the same weight." if len(values) > 1 else "There is one member only."
    return draw_figure(
        "weights",
        "Weights of the blend",
        text,
        draw,
        height=compute_height(len(labels)),
        header=["member", "weight"],
        rows=ranked,
    )


def draw_candidates(blend: SavedBlend, candidates: Sequence[TriedBlend]) -> Figure:
    """Draw the in-sample and cross-fitted score of each candidate, in the order in which they were tried."""
    selected = f"{blend.method}, finished" if blend.finish else blend.method
    in_sample = [candidate.in_sample for candidate in candidates]
    crossed = [replace_missing(candidate.cross_fitted) for candidate in candidates]

    def draw(figure: Any) -> None:
        axes, rows = figure.add_subplot(), range(len(candidates))
        axes.plot([in_sample, crossed], [rows, rows], color=COLOURS["line"], zorder=1)
        for row, candidate in enumerate(candidates):
            if candidate.interval:
                axes.plot(candidate.interval, [row, row], color=COLOURS["one"], linewidth=1.2, zorder=2)
        axes.plot(in_sample, rows, "s", color=COLOURS["two"], fillstyle="none", label="in-sample")
        axes.plot(crossed, rows, "o", color=COLOURS["one"], label="cross-fitted, 95 % interval")
        labels = [(shorten_label(candidate.method), candidate.method == selected) for candidate in candidates]
        list_on_axis(axes, [f"{label} (selected)" if is_selected else label for label, is_selected in labels])
        axes.set_xlabel(blend.metric)
        figure.legend(loc="outside upper right", ncols=2)

    text = (
        f"In the order in which they were tried, each learning more than the one before; selected: {selected}. The "
        "distance between the two scores of a blend is the optimism of choosing its weights on the rows it is scored "
        "on. A gain is cross-fitted, over the blend selected until then, and positive for the better one."
    )
    if len(candidates) == 1:
        text = f"No other blend than {selected} was tried."
    return draw_figure(
        "rungs",
        "Blends that were tried",
        text,
        draw,
        height=compute_height(len(candidates)) + 0.25,
        header=["blend", "in-sample", "cross-fitted", "95 % interval", "gain", "standard error of it"],
        rows=[_format_candidate(candidate) for candidate in candidates],
    )


def _name_chosen_parts(blend: SavedBlend) -> str:
    """Return which parts of a blend were chosen on rows, in words; empty for equal weights of all members."""
    is_limited = any(blend.asked[key] is not None for key in ("max_members", "max_seconds"))
    parts = {
        "the weights": blend.method not in EQUAL_WEIGHTS,
        "the members": blend.method in EQUAL_WEIGHTS and is_limited,
        "the finish": bool(blend.finish),
        "the thresholds": bool(blend.thresholds),
    }
    return " and ".join(name for name, is_chosen in parts.items() if is_chosen)


def _find_training_steps(inputs: ReportInputs) -> list[Step]:
    """Return what `train` would still do, as at most one step."""
    run = inputs.run
    states = [job.state for job in select_jobs(run.jobs, None)]
    recorded = {job.variant for job in run.jobs}
    new = [name for name in run.variants if name not in recorded]
    left = states.count("fit")
    reasons = [f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} not trained yet"] if new else []
    reasons += [f"{left} fit{' is' if left == 1 else 's are'} not done"] if left else []
    reasons += ["the test table is new to some fits"] if "predict" in states else []
    return [Step("; ".join(reasons), run.commands.format("train"))] if reasons else []


def _format_candidate(candidate: TriedBlend) -> list[str | float | None]:
    interval = None
    if candidate.interval:
        interval = f"{candidate.interval[0]:.5f} to {candidate.interval[1]:.5f}"
    scores: list[float | None] = [candidate.in_sample, candidate.cross_fitted]
    return [candidate.method, *scores, interval, candidate.gain, candidate.error]
