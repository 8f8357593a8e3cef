"""The verdict: the scores of the blend by their names, the rungs it was held against, and what to do next."""

from typing import Any

from pipeline.report.sources import Sources

Plain = dict[str, Any]

VERBS = {"blend": "blend", "comparison": "compare"}  # what fills a gap
MEANINGS = {
    "in-sample": "on the rows that chose the weights: it flatters",
    "cross-fitted": "weights chosen on the other folds: the one to believe, of a blend of single-fold models",
    "corrected for the choice": "cross-fitted, less what choosing the best of several blends flatters (BBC-CV)",
}


def scores(sources: Sources) -> list[Plain]:
    """Each score of the blend: name, value, interval or None, meaning; none without a blend."""
    if sources.blend is None:
        return []
    found = sources.blend["scores"]
    return [
        {
            "name": name,
            "value": found[name],
            "interval": found["95 % interval"] if name == "cross-fitted" else None,
            "meaning": meaning,
        }
        for name, meaning in MEANINGS.items()
    ]


def rungs(sources: Sources) -> list[Plain]:
    """The blends that were tried, with `held` true for the one that was held; none for a blend that does not say."""
    blend = sources.blend or {}
    held = f"{blend.get('method')}, finished" if blend.get("finish") else blend.get("method")
    return [{**rung, "held": rung["method"] == held} for rung in blend.get("rungs", [])]


def next_steps(sources: Sources) -> list[tuple[str, str]]:
    """What to do next: a reason and a command for each step."""
    left = sum(job.state == "fit" for job in sources.all_jobs)
    undone = [f"{left} fits are not done"] if left else sources.gathered.left_out[:1]
    steps = [(reason, sources.config.command("train")) for reason in undone]
    for name, verb in VERBS.items():
        if name in sources.missing:
            steps.append((sources.missing[name], sources.command(verb)))
    return [*steps, ("when all is as you want it, fill the sample submission", sources.command("submit"))]
