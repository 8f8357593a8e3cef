"""The verdict: the scores of the blend by their names, the rungs it was held against, and what to do next."""

from typing import Any

from models.recipe import digest
from pipeline.blending.saved_blend import not_offered
from pipeline.commands.submit import submission_record
from pipeline.errors import PROBLEMS
from pipeline.fits.plan import wanted_now
from pipeline.reporting.sources import Sources

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
