"""What the verb `compare` prints: a comparison in sentences and tables."""

import math
from collections.abc import Sequence

import numpy as np

from oof.comparison.comparison_file import AddedValue, Comparison, ControlResult, MemberComparison, ReferenceGain
from oof.comparison.diversity import rank_pairs_by_similarity
from oof.comparison.seed_noise import SeedNoise, Verdict
from pipeline.blending.blend_summary import format_correlation
from pipeline.display import format_duration, format_score, format_table

MATRIX = 10  # members up to which all correlations are shown
SHOWN = 5  # pairs shown from either end where there are more members

VERDICTS = {
    "matters": "Pooling matters among {group}: {lead}, and seeds alone make more than {limit} once in twenty.",
    "within seed noise": "Pooling is not shown to matter among {group}: {lead}, but seeds alone can make {limit}.",
    "no seed yardstick": "Pooling may matter among {group}: {lead}, but there is no seed yardstick: one seed each, and "
    "another seed might reverse it.",
    "not told apart": "Pooling is not shown to matter among {group}: these rows do not tell them apart ({lead}).",
}


def describe_comparison(comparison: Comparison) -> str:
    """Return what the verb prints, the verdicts first."""
    if len(comparison.members) == 1:
        [member] = comparison.members
        score = f"{member.name}: OOF {comparison.metric} {format_score(member.score)}"
        noise = _describe_seed_noise(comparison.seed_noise)
        return f"{score}; there is no other member to compare it with\n{noise}"
    parts = [
        _describe_verdicts(comparison),
        _format_members(comparison),
        _format_correlations(comparison),
        _describe_ambiguity(comparison),
        _format_added_values(comparison.adds),
        _format_control(comparison),
        _format_front(comparison),
    ]
    return "\n\n".join(filter(None, parts))


def _describe_verdicts(comparison: Comparison) -> str:
    if not comparison.verdicts:
        return "This run cannot tell whether pooling matters: no two members differ in their pooling alone."
    heads = {added.name for added in comparison.adds if added.shared > 1}
    return "\n".join(_describe_verdict(verdict, comparison.metric, heads) for verdict in comparison.verdicts)


def _describe_verdict(verdict: Verdict, metric: str, heads: set[str]) -> str:
    limit, names = verdict.seed_limit, verdict.poolings
    count = len(names)
    kind = "heads of one encoder" if names[0] in heads else "variants with fits of their own"
    group = f"{count} {kind} ({', '.join(names)})"
    lead = f"{verdict.better} over {verdict.worse} {_format_gain(verdict)} {metric}"
    sentence = VERDICTS[verdict.finding].format(group=group, lead=lead, limit=format_score(limit))
    if verdict.finding == "not told apart" and limit is None:
        sentence += " There is no seed yardstick."
    return sentence + (f" This holds for all pairs of the {count} at once." if count > 2 else "")


def _format_members(comparison: Comparison) -> str:
    members = comparison.members
    plain = any(member.over_mean_pooling for member in members)
    several = any(len(member.seed_scores) > 1 for member in members)
    header = ["member", f"OOF {comparison.metric}", *(["seeds", "one fit"] if several else []), "over the best (95 %)"]
    header += ["over mean pooling (95 %)"] if plain else []
    rows = [_format_member(member, plain, several) for member in members]
    one_fit = ", fit for fit" if several else ""
    last = "mean pooling" if plain else "the best"
    notes = [f"positive is better{one_fit}; the last column holds the gain over {last} against seed noise"]
    notes += [] if plain else ["no member pools by the mean over the last layer: nothing is compared with mean pooling"]
    noise = _describe_seed_noise(comparison.seed_noise)
    return "\n".join([format_table([*header, "beyond seed noise"], rows), *notes, noise])


def _format_member(member: MemberComparison, plain: bool, several: bool) -> list[str]:
    cells = [member.name, format_score(member.score)]
    if several:
        cells += [str(len(member.seed_scores) or "-"), format_score(member.fit_score)]
    cells.append(_format_gain(member.over_best))
    if plain:
        cells.append(_format_gain(member.over_mean_pooling))
    return [*cells, _compare_with_seed_noise(member.over_mean_pooling if plain else member.over_best)]


def _describe_seed_noise(noise: SeedNoise | None) -> str:
    if noise is None:
        return "no seed yardstick: no variant has several seeds"
    apart = format_score(math.sqrt(2) * noise.deviation)
    return f"seed noise: two seeds of one variant are {apart} apart ({noise.freedom} degrees of freedom)"


def _compare_with_seed_noise(gain: ReferenceGain | None) -> str:
    if gain is None or gain.seed_limit is None:
        return "-"
    return f"{'yes' if abs(gain.gain) > gain.seed_limit else 'no'} ({format_score(gain.seed_limit)})"


def _format_gain(gain: ReferenceGain | Verdict | AddedValue | ControlResult | None) -> str:
    if gain is None:
        return "-"
    between = "" if gain.interval is None else " ({:+.5f} to {:+.5f})".format(*gain.interval)
    return f"{gain.gain:+.5f}{between}"


def _format_correlations(comparison: Comparison) -> str:
    names = [member.name for member in comparison.members]
    correlations = np.array(comparison.error_correlations)
    if len(names) <= MATRIX:
        rows = []
        for number, name in enumerate(names):
            lower = [format_correlation(value) for value in correlations[number, :number]]
            rows.append([name, *lower, *[""] * (len(names) - 1 - number)])
        return format_table(["error correlation", *names[:-1]], rows)
    pairs = rank_pairs_by_similarity(correlations)
    rows = [
        [f"{names[first]}, {names[second]}", format_correlation(correlations[first, second])]
        for first, second in [*pairs[:SHOWN], *pairs[-SHOWN:]]
    ]
    return format_table([f"the {SHOWN} pairs most alike, then the {SHOWN} least", "error correlation"], rows)


def _describe_ambiguity(comparison: Comparison) -> str:
    parts, metric = comparison.ambiguity, comparison.metric
    ensemble, members, ambiguity = map(format_score, (parts.ensemble, parts.members, parts.ambiguity))
    note = "" if metric == parts.loss else f"; {metric} has no such sum"
    return (
        f"equal mean: {parts.loss.replace('_', ' ')} {ensemble} = {members} (members on average) - {ambiguity} "
        f"(ambiguity: what their disagreement gains){note}"
    )


def _format_added_values(adds: Sequence[AddedValue]) -> str:
    header = ["member", "adds to the equal mean (95 %)", "training", "per training minute", "MB", "per MB"]
    rows = []
    for added in sorted(adds, key=lambda added: -added.gain):
        minutes, megabytes = added.minutes, added.megabytes
        training = "-" if minutes is None else format_duration(60 * minutes)
        rates = [_format_rate(added.gain, minutes), _format_rate(added.gain, megabytes)]
        rows.append([added.name, _format_gain(added), training, rates[0], _format_amount(megabytes, 1), rates[1]])
    shared = [added.name for added in adds if added.shared > 1]
    note = f"\nshared: {', '.join(shared)} each have a part of the time and the MB of one fit" if shared else ""
    return format_table(header, rows) + note


def _format_rate(gain: float, cost: float | None) -> str:
    """Return the gain per unit of cost, with two digits and no exponent."""
    return np.format_float_positional(gain / cost, 2, fractional=False, trim="-", sign=True) if cost else "-"


def _format_amount(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _format_control(comparison: Comparison) -> str:
    if not comparison.control:
        return str(comparison.missing_control)
    metric = comparison.metric
    rows = [
        [result.name, str(result.size), format_score(result.seeds), format_score(result.mix), _format_gain(result)]
        for result in comparison.control
    ]
    header = ["control: seeds of", "fits a fold", f"seeds' {metric}", f"poolings' {metric}", "gain of poolings (95 %)"]
    note = "as many poolings, one seed each, against as many seeds of one; means over choices of either"
    return f"{format_table(header, rows)}\n{note}"


def _format_front(comparison: Comparison) -> str:
    if not comparison.front:
        return ""
    rows = []
    for count, point in enumerate(comparison.front, 1):
        name = f"{count}: {'+ ' * (count > 1)}{point.members[-1]}"
        costs = [_format_amount(point.seconds, 2), _format_amount(point.megabytes, 1)]
        rows.append([name, format_score(point.score), *costs])
    header = ["best equal mean of", f"cross-fitted {comparison.metric}", "seconds per 1,000 rows", "MB"]
    note = "the members named are chosen on all rows; each score is of the members that the other folds choose"
    return f"{format_table(header, rows)}\n{note}"
