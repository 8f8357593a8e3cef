"""The verdict: the scores of the blend by their names, the rungs it was held against, and what to do next."""

from collections.abc import Sequence
from typing import Any

from models.store import digest
from pipeline.blending.saved_blend import not_offered
from pipeline.commands.submit import submission_record
from pipeline.errors import PROBLEMS
from pipeline.fits.plan import wanted_now
from pipeline.reporting.sources import Sources
from pipeline.reporting.svg_figure import COLOURS, Picture, figure_height, label, listed, picture, plain_score

Plain = dict[str, Any]
Step = tuple[str, str | None]

VERBS = {"blend": "blend", "comparison": "compare"}  # what fills a gap
EQUAL = {"mean", "geometric_mean", "logit_mean", "rank_mean"}  # blends in which no row has a say
MEANINGS = {
    "in-sample": "on the rows that chose {chosen}, so it tends to flatter",
    "cross-fitted": "{chosen} chosen on the other folds: the one to believe, of a blend of single-fold models",
    "corrected for the choice": "cross-fitted, less what choosing the best of several blends flatters (BBC-CV)",
}
NOTHING_CHOSEN = {
    **MEANINGS,
    "in-sample": "equal weights, which no row has chosen, so it does not flatter",
    "cross-fitted": "the same, as nothing is chosen: the one to believe, of a blend of single-fold models",
}


def scores(sources: Sources) -> list[Plain]:
    """Each score that the blend has: name, value, interval or None, meaning; none without a blend."""
    if sources.blend is None:
        return []
    found, chosen = sources.blend["scores"], _chosen(sources.blend)
    return [
        {
            "name": name,
            "value": found[name],
            "interval": found["95 % interval"] if name == "cross-fitted" else None,
            "meaning": meaning.format(chosen=chosen),
        }
        for name, meaning in (MEANINGS if chosen else NOTHING_CHOSEN).items()
        if found[name] is not None
    ]


def _chosen(blend: Plain) -> str:
    """What rows have chosen of a blend, in words; empty for equal weights of all members."""
    limited = any(blend["asked"][key] is not None for key in ("max_members", "max_seconds"))
    parts = {
        "the weights": blend["method"] not in EQUAL,
        "the members": blend["method"] in EQUAL and limited,
        "the finish": bool(blend["finish"]),
        "the thresholds": bool(blend["thresholds"]),
    }
    return " and ".join(name for name, chosen in parts.items() if chosen)


def rungs(sources: Sources) -> list[Plain]:
    """The blends that were tried, with `held` true for the one that was held; none for a blend that does not say."""
    blend = sources.blend or {}
    held = f"{blend.get('method')}, finished" if blend.get("finish") else blend.get("method")
    return [{**rung, "held": rung["method"] == held} for rung in blend.get("rungs", [])]


def next_steps(sources: Sources) -> list[Step]:
    """What to do next: a reason for each step, and a command where there is one."""
    steps = _training(sources)
    steps += [(sources.missing[name], sources.command(verb)) for name, verb in VERBS.items() if name in sources.missing]
    if sources.blend is None:
        return steps
    if new := not_offered(sources.blend, sources.all_jobs, sources.config):
        return [*steps, (f"the blend does not know {', '.join(new)}", sources.command("blend"))]
    if sources.blend["test_table"] != sources.competition.test.sha256:
        return [*steps, ("the blend is of another test table", sources.command("blend"))]
    if submitted(sources):
        return [*steps, (f"the blend is submitted: hand in {sources.config.submission.file}", None)]
    return [*steps, ("when all is as you want it, fill the sample submission", sources.command("submit"))]


def _training(sources: Sources) -> list[Step]:
    """What `train` would still do, as at most one step."""
    states = [job.state for job in wanted_now(sources.all_jobs, None)]
    known = {job.variant for job in sources.all_jobs}
    new, left = [name for name in sources.config.variants if name not in known], states.count("fit")
    reasons = [f"{', '.join(new)} {'is' if len(new) == 1 else 'are'} not trained yet"] if new else []
    reasons += [f"{left} fit{' is' if left == 1 else 's are'} not done"] if left else []
    reasons += ["the test table is new to some fits"] if "predict" in states else []
    return [("; ".join(reasons), sources.config.command("train"))] if reasons else []


def submitted(sources: Sources) -> bool:
    """Whether the submission holds the blend."""
    try:
        record = submission_record(sources.run.submissions / sources.config.submission.file)
    except PROBLEMS:  # it was changed since: the blend is to be submitted again
        return False
    return sources.blend is not None and (record or {}).get("blend") == digest(sources.blend)


def draw_weights(found: dict[str, float]) -> Picture:
    """Bars of the members' weights in the blend."""
    ranked = sorted(found.items(), key=lambda one: -one[1])
    names, values = [label(name) for name, _ in ranked], [value for _, value in ranked]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.barh(range(len(names)), values, color=COLOURS["one"], height=0.6)
        listed(axes, names)
        for at, value in enumerate(values):
            axes.annotate(f"{value:.3f}", (value, at), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_xlim(0, max(values) * 1.12)
        axes.set_xlabel("weight in the blend")

    idle = sum(value == 0 for value in values)
    text = f"The largest weight is {values[0]:.3f}, of {ranked[0][0]}"
    text += f"; {idle} of {len(values)} members {'weigh' if idle > 1 else 'weighs'} nothing." if idle else "."
    if values[0] == values[-1]:
        text = f"The {len(values)} members have the same weight." if len(values) > 1 else "There is one member only."
    return picture(
        "weights",
        "Weights of the blend",
        text,
        draw,
        height=figure_height(len(names)),
        header=["member", "weight"],
        rows=ranked,
    )


def draw_rungs(found: Sequence[Plain], metric: str) -> Picture:
    """In-sample and cross-fitted score of each blend that was tried, in the order of the climb."""
    own, crossed = ([plain_score(rung[key]) for rung in found] for key in ("in-sample", "cross-fitted"))

    def draw(figure: Any) -> None:
        axes, places = figure.add_subplot(), range(len(found))
        axes.plot([own, crossed], [places, places], color=COLOURS["line"], zorder=1)
        for at, rung in enumerate(found):
            if rung["interval"]:
                axes.plot(rung["interval"], [at, at], color=COLOURS["one"], linewidth=1.2, zorder=2)
        axes.plot(own, places, "s", color=COLOURS["two"], fillstyle="none", label="in-sample")
        axes.plot(crossed, places, "o", color=COLOURS["one"], label="cross-fitted, 95 % interval")
        listed(axes, [label(rung["method"]) + " (held)" * rung["held"] for rung in found])
        axes.set_xlabel(metric)
        figure.legend(loc="outside upper right", ncols=2)

    keys = ("method", "in-sample", "cross-fitted", "interval", "gain", "error")
    rows = [[_between(rung[key]) if key == "interval" else rung[key] for key in keys] for rung in found]
    held = next((rung["method"] for rung in found if rung["held"]), "none")
    text = f"In the order in which they were tried, each learning more than the one before; held: {held}. The distance "
    text += "between the two scores of a blend is what choosing its weights on the rows it is scored on flatters. A "
    text += "gain is cross-fitted, over the blend held until then, and positive for the better one."
    if len(found) == 1:
        text = f"No other blend than {held} was tried."
    header = ["blend", "in-sample", "cross-fitted", "95 % interval", "gain", "standard error of it"]
    height = figure_height(len(found)) + 0.25
    return picture("rungs", "Blends that were tried", text, draw, height=height, header=header, rows=rows)


def _between(interval: Sequence[float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.5f} to {interval[1]:.5f}"
