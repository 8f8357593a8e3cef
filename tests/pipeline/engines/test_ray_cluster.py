"""What a fit takes of a node where nobody said, and how often a node holds it."""

import pytest

from pipeline.engines.ray_cluster import Needs, default_needs

GPUS = {"a": Needs(16, 2, 64), "b": Needs(8, 1, 32), "head": Needs(4, 0, 16)}
CPUS = {"a": Needs(16, 0, 64), "b": Needs(2, 0, 32), "head": Needs(0, 0, 16)}


@pytest.mark.parametrize(
    ("asked", "nodes", "found"),
    [
        (Needs(), GPUS, Needs(8, 1, 0)),  # a GPU, and its share of the CPUs
        (Needs(gpus=0.5), GPUS, Needs(4, 0.5, 0)),
        (Needs(gpus=0), GPUS, Needs(4, 0, 0)),
        (Needs(cpus=3), GPUS, Needs(3, 1, 0)),
        (Needs(), CPUS, Needs(2, 0, 0)),  # what every node that has any can give
        (Needs(), {"a": CPUS["a"]}, Needs(4, 0, 0)),
        (Needs(gpus=1, cpus=4, memory=7), CPUS, Needs(4, 1, 7)),  # of a node that is yet to join
    ],
)
def test_needs_are_what_was_asked_for_and_a_fair_share_of_the_rest(
    asked: Needs, nodes: dict[str, Needs], found: Needs
) -> None:
    assert default_needs(asked, nodes) == found


@pytest.mark.parametrize(
    ("needs", "node", "times"),
    [
        (Needs(4, 0, 0), Needs(16, 0, 1), 4),
        (Needs(4, 1, 0), Needs(16, 2, 1), 2),
        (Needs(1, 0.1, 0), Needs(16, 1, 1), 10),
        (Needs(1, 0, 30), Needs(16, 0, 64), 2),
        (Needs(1, 1, 0), Needs(16, 0, 64), 0),
    ],
)
def test_a_node_holds_what_its_scarcest_part_allows(needs: Needs, node: Needs, times: int) -> None:
    assert needs.times_in(node) == times
