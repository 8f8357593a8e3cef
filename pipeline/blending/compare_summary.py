"""A comparison in sentences and tables, made of what `compare.json` holds."""

import math
from typing import Any

import numpy as np

from oof.comparison.diversity import by_likeness
from pipeline.blending.blend_summary import correlation
from pipeline.display import duration, number, table

MATRIX, SHOWN = 10, 5  # members in a matrix of correlations; of more, the pairs shown from either end
Plain = dict[str, Any]

VERDICTS = {
    "matters": "Pooling matters among {group}: {lead}, and seeds alone make more than {limit} once in twenty.",
    "within seed noise": "Pooling is not shown to matter among {group}: {lead}, but seeds alone can make {limit}.",
    "no seed yardstick": "Pooling may matter among {group}: {lead}, but there is no seed yardstick: one seed each, and "
    "another might turn it around.",
    "not told apart": "Pooling is not shown to matter among {group}: these rows do not tell them apart ({lead}).",
}


def describe(found: Plain) -> str:
    """What the verb prints, the verdict first."""
    if len(found["members"]) == 1:
        [one] = found["members"]
        score = f"{one['name']}: OOF {found['metric']} {number(one['score'])}"
        return f"{score}; there is no other member to compare it with\n{_seed_noise(found)}"
    parts = [_verdicts, _members, _correlations, _ambiguity, _adds, _control, _front]
    return "\n\n".join(filter(None, [part(found) for part in parts]))


def _verdicts(found: Plain) -> str:
    if not found["verdicts"]:
        return "This run cannot tell whether pooling matters: no two members differ in their pooling alone."
    heads = {one["name"] for one in found["adds"] if one["shared"] > 1}
    return "\n".join(_verdict(one, found["metric"], heads) for one in found["verdicts"])


def _verdict(one: Plain, metric: str, heads: set[str]) -> str:
    limit, names = one["seed_limit"], one["poolings"]
    count = len(names)
    kind = "heads of one encoder" if names[0] in heads else "variants with fits of their own"
    group = f"{count} {kind} ({', '.join(names)})"
    lead = f"{one['better']} over {one['worse']} {_gain(one)} {metric}"
    said = VERDICTS[one["finding"]].format(group=group, lead=lead, limit=number(limit))
    if one["finding"] == "not told apart" and limit is None:
        said += " There is no seed yardstick."
    return said + (f" This holds for all pairs of the {count} at once." if count > 2 else "")


def _members(found: Plain) -> str:
    members = found["members"]
    plain = any(one["over_mean_pooling"] for one in members)
    several = any(len(one["seed_scores"]) > 1 for one in members)
    against = {"over_best": "the best", **({"over_mean_pooling": "mean pooling"} if plain else {})}
    last = list(against)[-1]
    header = ["member", f"OOF {found['metric']}", *(["seeds", "one fit"] if several else [])]
    rows = [
        [one["name"], number(one["score"])]
        + ([str(len(one["seed_scores"]) or "-"), number(one["fit_score"])] if several else [])
        + [_gain(one[key]) for key in against]
        + [_beyond(one[last])]
        for one in members
    ]
    header += [*(f"over {name} (95 %)" for name in against.values()), "beyond seed noise"]
    one_fit = ", fit for fit" if several else ""
    notes = [f"positive is better{one_fit}; the last column holds the gain over {against[last]} against seed noise"]
    notes += [] if plain else ["no member pools by the mean over the last layer: nothing is compared with mean pooling"]
    return "\n".join([table(header, rows), *notes, _seed_noise(found)])


def _seed_noise(found: Plain) -> str:
    if (noise := found["seed_noise"]) is None:
        return "no seed yardstick: no variant has several seeds"
    apart = math.sqrt(2) * noise["deviation"]
    return f"seed noise: two seeds of one variant are {number(apart)} apart ({noise['freedom']} degrees of freedom)"


def _beyond(one: Plain | None) -> str:
    if one is None or one["seed_limit"] is None:
        return "-"
    return f"{'yes' if abs(one['gain']) > one['seed_limit'] else 'no'} ({number(one['seed_limit'])})"


def _gain(one: Plain | None) -> str:
    if one is None:
        return "-"
    between = "" if one["interval"] is None else " ({:+.5f} to {:+.5f})".format(*one["interval"])
    return f"{one['gain']:+.5f}{between}"


def _correlations(found: Plain) -> str:
    names, alike = [one["name"] for one in found["members"]], np.array(found["error_correlations"])
    if len(names) <= MATRIX:
        cells = [[correlation(one) if n < at else "" for n, one in enumerate(row[:-1])] for at, row in enumerate(alike)]
        return table(["error correlation", *names[:-1]], [[n, *row] for n, row in zip(names, cells, strict=True)])
    pairs = by_likeness(alike)
    rows = [[f"{names[a]}, {names[b]}", correlation(alike[a, b])] for a, b in [*pairs[:SHOWN], *pairs[-SHOWN:]]]
    return table([f"the {SHOWN} pairs most alike, then the {SHOWN} least", "error correlation"], rows)


def _ambiguity(found: Plain) -> str:
    one, metric = found["ambiguity"], found["metric"]
    foreign = "" if metric == one["loss"] else f"; {metric} has no such sum"
    return (
        f"equal mean: {one['loss'].replace('_', ' ')} {number(one['ensemble'])} = {number(one['members'])} (members on "
        f"average) - {number(one['ambiguity'])} (ambiguity: what their disagreement gains){foreign}"
    )


def _adds(found: Plain) -> str:
    header = ["member", "adds to the equal mean (95 %)", "training", "per training minute", "MB", "per MB"]
    rows = []
    for one in sorted(found["adds"], key=lambda one: -float(one["gain"])):
        minutes, megabytes = one["minutes"], one["megabytes"]
        training = "-" if minutes is None else duration(60 * minutes)
        costs = [training, _rate(one, minutes), _amount(megabytes, 1), _rate(one, megabytes)]
        rows.append([one["name"], _gain(one), *costs])
    shared = [one["name"] for one in found["adds"] if one["shared"] > 1]
    note = f"\nshared: {', '.join(shared)} each have a part of the time and the MB of one fit" if shared else ""
    return table(header, rows) + note


def _rate(one: Plain, spent: float | None) -> str:
    """The gain a unit, with two digits and no exponent."""
    return np.format_float_positional(one["gain"] / spent, 2, fractional=False, trim="-", sign=True) if spent else "-"


def _amount(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _control(found: Plain) -> str:
    if not (control := found["control"]):
        return str(found["missing_control"])
    metric = found["metric"]
    rows = [[one["name"], str(one["size"]), number(one["seeds"]), number(one["mix"]), _gain(one)] for one in control]
    header = ["control: seeds of", "fits a fold", f"seeds' {metric}", f"poolings' {metric}", "gain of poolings (95 %)"]
    note = "as many poolings, one seed each, against as many seeds of one; means over choices of either"
    return f"{table(header, rows)}\n{note}"


def _front(found: Plain) -> str:
    if not found["front"]:
        return ""
    rows = []
    for count, one in enumerate(found["front"], 1):
        name = f"{count}: {'+ ' * (count > 1)}{one['members'][-1]}"
        rows.append([name, number(one["score"]), _amount(one["seconds"], 2), _amount(one["megabytes"], 1)])
    header = ["best equal mean of", f"cross-fitted {found['metric']}", "seconds per 1,000 rows", "MB"]
    return f"{table(header, rows)}\nnamed are members chosen on all rows; a score is of those that other folds choose"
