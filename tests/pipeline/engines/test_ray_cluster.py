"""What a fit takes of a node where nobody said, and how often a node holds it."""

import pytest

from pipeline.engines.ray_cluster import Resources, complete_resources

GPUS = {"a": Resources(16, 2, 64), "b": Resources(8, 1, 32), "head": Resources(4, 0, 16)}
CPUS = {"a": Resources(16, 0, 64), "b": Resources(2, 0, 32), "head": Resources(0, 0, 16)}


@pytest.mark.parametrize(
    ("asked", "nodes", "found"),
    [
        (Resources(), GPUS, Resources(8, 1, 0)),  # a GPU, and its share of the CPUs
        (Resources(gpus=0.5), GPUS, Resources(4, 0.5, 0)),
        (Resources(gpus=0), GPUS, Resources(4, 0, 0)),
        (Resources(cpus=3), GPUS, Resources(3, 1, 0)),
        (Resources(), CPUS, Resources(2, 0, 0)),  # what every node that has any can give
        (Resources(), {"a": CPUS["a"]}, Resources(4, 0, 0)),
        (Resources(gpus=1, cpus=4, memory=7), CPUS, Resources(4, 1, 7)),  # of a node that is yet to join
    ],
)
def test_needs_are_what_was_asked_for_and_a_fair_share_of_the_rest(
    asked: Resources, nodes: dict[str, Resources], found: Resources
) -> None:
    assert complete_resources(asked, nodes) == found


@pytest.mark.parametrize(
    ("needs", "node", "times"),
    [
        (Resources(4, 0, 0), Resources(16, 0, 1), 4),
        (Resources(4, 1, 0), Resources(16, 2, 1), 2),
        (Resources(1, 0.1, 0), Resources(16, 1, 1), 10),
        (Resources(1, 0, 30), Resources(16, 0, 64), 2),
        (Resources(1, 1, 0), Resources(16, 0, 64), 0),
    ],
)
def test_a_node_holds_what_its_scarcest_part_allows(needs: Resources, node: Resources, times: int) -> None:
    assert needs.count_fits(node) == times
