"""Compare members: paired gains, seed noise, what each adds to the equal mean, and the control with as many seeds.

Members are compared fit for fit: by the mean of the scores of single seeds on both sides. A member of three seeds would
beat one of a single seed whatever they pool.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from oof.blends.problem import Problem
from oof.comparison.comparison_file import AddedValue, Comparison, ControlResult, MemberComparison, ReferenceGain
from oof.comparison.diversity import compute_error_correlations, decompose_ambiguity
from oof.comparison.paired import PredictionScores, score_predictions
from oof.comparison.seed_control import FitSet, SeedControl, average_fits, plan_seed_controls
from oof.comparison.seed_noise import ComparedMember, SeedScores, group_poolings, judge_poolings
from oof.types import Array, Counts

FitNumbers = Sequence[Sequence[int]]  # for each member, the numbers of its single fits among the scored predictions


def compare_members(problem: Problem, members: Sequence[ComparedMember], draws: Iterable[Counts]) -> Comparison:
    """Compare the members of the problem, `members` in their order, in one pass over the draws of counts (rows,).

    Costs, the front, folds and fits are left at their defaults.
    """
    groups = group_poolings(members)
    plans = [plan for group in groups for plan in _plan_controls(members, group)]
    fit_sets = _list_fit_sets(members, plans)
    singles = [member.singles for member in members]
    averages = (average_fits(fit_set, singles) for fit_set in fit_sets)
    everything = chain(problem.take_predictions(), _average_without_each(problem), averages)
    scores = score_predictions(problem, everything, draws)
    first = len(scores.scores) - len(fit_sets)
    numbers = {fit_set: first + position for position, fit_set in enumerate(fit_sets)}
    fits = [_list_fit_numbers(number, member, numbers) for number, member in enumerate(members)]
    seeds = SeedScores(members, [scores.scores[own].tolist() for own in fits])
    fits = [own or [number] for number, own in enumerate(fits)]
    correlations = compute_error_correlations(problem.take_predictions(), problem.truth, problem.task)
    return Comparison(
        metric=problem.metric.name,
        higher_is_better=problem.metric.higher_is_better,
        rows=len(problem),
        draws=len(scores.values),
        members=_compare_each(scores, fits, seeds),
        seed_noise=seeds.noise,
        verdicts=[judge_poolings(group, scores, fits, seeds) for group in groups],
        error_correlations=correlations.tolist(),
        ambiguity=decompose_ambiguity(problem),
        adds=_compute_added_values(scores, members),
        control=[_compute_control(plan, scores, numbers, members) for plan in plans],
    )


def _average_without_each(problem: Problem) -> Iterator[Array]:
    """Yield the equal mean of all members, then that without each of them; nothing for a single member."""
    count = problem.member_count
    if count > 1:
        total = problem.take_predictions().sum(0)
        yield total / count
        yield from ((total - problem.get_member(number)) / (count - 1) for number in range(count))


def _list_fit_sets(members: Sequence[ComparedMember], plans: Sequence[SeedControl]) -> list[FitSet]:
    """Return every single fit that is not a member by itself, and the sets of the controls, each once."""
    found: list[FitSet] = []
    for number, member in enumerate(members):
        if len(member.singles) > 1:
            found += [((number, seed),) for seed in range(len(member.singles))]
    for plan in plans:
        found += [*plan.seeds, *plan.mixes]
    return list(dict.fromkeys(found))


def _list_fit_numbers(number: int, member: ComparedMember, numbers: dict[FitSet, int]) -> list[int]:
    """Return the numbers of a member's single fits; of one with a single fit that is the member's own number."""
    return [numbers.get(((number, seed),), number) for seed in range(len(member.singles))]


def _compare_each(scores: PredictionScores, fits: FitNumbers, seeds: SeedScores) -> list[MemberComparison]:
    members, means = seeds.members, [scores.compute_mean(own) for own in fits]
    best = max(range(len(fits)), key=lambda number: scores.sign * means[number])

    def compute_gain(number: int, reference: int | None) -> ReferenceGain | None:
        if reference is None or reference == number:
            return None
        gain = scores.compute_gain(fits[number], fits[reference])
        limit = seeds.compute_limit(number, reference)
        return ReferenceGain(members[reference].name, gain.gain, gain.interval, limit)

    return [
        MemberComparison(
            name=member.name,
            score=float(scores.scores[number]),
            seed_scores=list(seeds.scores[number]),
            fit_score=means[number],
            over_best=compute_gain(number, best),
            over_mean_pooling=compute_gain(number, _find_mean_pooling(members, member)),
        )
        for number, member in enumerate(members)
    ]


def _find_mean_pooling(members: Sequence[ComparedMember], member: ComparedMember) -> int | None:
    """Return the number of a member that pools by the mean, of the same recipe if there is one; None without any."""
    numbers = [number for number, other in enumerate(members) if other.plain_mean]
    return max(numbers, key=lambda number: members[number].recipe == member.recipe, default=None)


def _compute_added_values(scores: PredictionScores, members: Sequence[ComparedMember]) -> list[AddedValue]:
    if len(members) < 2:
        return []
    whole = len(members)
    gains = [scores.compute_gain([whole], [whole + 1 + number]) for number in range(len(members))]
    return [AddedValue(member.name, gain.gain, gain.interval) for member, gain in zip(members, gains, strict=True)]


def _plan_controls(members: Sequence[ComparedMember], group: Sequence[int]) -> list[SeedControl]:
    encoders = {members[number].encoder for number in group}
    # poolings on one encoder cost one fit, so that as many seeds would not be the same cost
    if len(encoders) < len(group):
        return []
    return plan_seed_controls({number: len(members[number].singles) for number in group})


def _compute_control(
    plan: SeedControl, scores: PredictionScores, numbers: dict[FitSet, int], members: Sequence[ComparedMember]
) -> ControlResult:
    seeds = [numbers[fit_set] for fit_set in plan.seeds]
    mixes = [numbers[fit_set] for fit_set in plan.mixes]
    gain = scores.compute_gain(mixes, seeds)
    return ControlResult(
        name=members[plan.member].name,
        size=plan.size,
        seeds=scores.compute_mean(seeds),
        mix=scores.compute_mean(mixes),
        gain=gain.gain,
        interval=gain.interval,
        choices=(len(seeds), len(mixes)),
    )
