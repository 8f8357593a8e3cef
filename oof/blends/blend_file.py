"""`oof/blend.json`: a blend as numbers, and what it takes to apply them to test predictions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oof import OOFError
from oof.blends.blend_registry import BLENDS
from oof.blends.calibration import apply_finish
from oof.types import Array

NUMBERS = ("method", "members", "numbers", "finish", "thresholds", "task", "columns")  # what applying it takes
BLOCK_ROWS = 2**16  # to which a blend is applied at a time, so that the members' predictions are not held twice
KEYS = (*NUMBERS, "scores", "metric", "folds", "fits", "offered", "asked", "test_table")


def write_blend(path: Path, blend: dict[str, Any]) -> None:
    """Write a blend; its keys are at least KEYS, its values what JSON can hold."""
    missing = [key for key in KEYS if key not in blend]
    if missing:
        raise KeyError(missing[0])
    path.write_text(json.dumps(blend, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_blend(path: Path) -> dict[str, Any]:
    """Read a blend; OOFError for a file that is missing, damaged, or no blend of this library."""
    try:
        blend = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OOFError(f"{path}: there is no blend yet; blend first") from error
    except (OSError, ValueError, RecursionError) as error:
        raise OOFError(f"{path}: not a readable JSON file; blend again") from error
    missing = [key for key in KEYS if not isinstance(blend, dict) or key not in blend]
    if missing:
        raise OOFError(f"{path}: is no blend, the key {missing[0]!r} is missing; blend again")
    if blend["method"] not in BLENDS:
        raise OOFError(f"{path}: unknown blend {blend['method']!r}; known ones: {', '.join(BLENDS)}")
    return dict(blend)


def apply_blend(blend: dict[str, Any], tests: Sequence[Array]) -> Array:
    """Predictions (rows, columns) from each member's test predictions (fits, rows, columns), in the blend's order.

    A linear blend is applied to the means over fold models. Any other, and any with a finish, is applied to each fold
    model, then averaged; a member with a single slice takes part in each.
    """
    if len(tests) != len(blend["members"]):
        raise OOFError(f"the blend has {len(blend['members'])} members, there are predictions of {len(tests)}")
    counts = {len(test) for test in tests} - {1} or {1}
    if len(counts) > 1 and not _is_applied_to_means(blend):
        raise OOFError(f"members have different numbers of fold models: {', '.join(map(str, sorted(counts)))}")
    starts = range(0, tests[0].shape[1], BLOCK_ROWS)
    return np.concatenate(
        [_apply_to_rows(blend, [test[:, at : at + BLOCK_ROWS] for test in tests], max(counts)) for at in starts]
    )


def _is_applied_to_means(blend: dict[str, Any]) -> bool:
    return BLENDS[blend["method"]].linear and blend["finish"] is None


def _apply_to_rows(blend: dict[str, Any], tests: Sequence[Array], fits: int) -> Array:
    apply, numbers = BLENDS[blend["method"]].apply, blend["numbers"]
    if _is_applied_to_means(blend):
        return apply(numbers, np.stack([test.mean(0) for test in tests]))
    members = (np.stack([test[at if len(test) > 1 else 0] for test in tests]) for at in range(fits))
    mean: Array = np.mean([apply_finish(blend["finish"], apply(numbers, P)) for P in members], axis=0)
    return mean
