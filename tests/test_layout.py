"""The layout: layers of `pipeline`, limits on folders and names, tests that mirror the tree."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.structure import (
    LENGTH_SHARE,
    LONGEST,
    MOST_ANY,
    MOST_MODULES,
    MOST_PARAMETERS,
    SHORTEST,
    VERB_SHARE,
    Function,
    count_any,
    list_functions,
    list_modules,
    measure,
)

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
# Each layer imports only those behind it; `blending` and `scheduling` do not know each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("commands",),
    ("reporting",),
    ("blending", "scheduling"),
    ("engines",),
    ("fits",),
    ("data",),
    ("storage",),
    ("config",),
    ("display", "errors"),
)
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FOUNDATION = len(LAYERS) - 1

# Modules without a test file of their name, and the file whose tests reach them.
REACHED_BY = {
    "folds/types.py": "folds/test_splitters.py",
    "models/checkpoint.py": "models/training/test_loop.py",
    "models/encoder/attention_masks.py": "models/test_device_reads.py",
    "models/encoder/sentencepiece_tokenizer.py": "models/encoder/test_conversion.py",
    "models/encoder/split_encoder.py": "models/encoder/test_frozen_layers.py",
    "models/pooling/masked_pooling.py": "models/pooling/test_pooling_contract.py",
    "models/pooling/token_pools.py": "models/pooling/test_pooling_contract.py",
    "models/saved.py": "models/training/test_fit.py",
    "models/settings.py": "models/test_spec.py",
    "models/training/hooks.py": "models/training/test_loop.py",
    "models/training/resume.py": "models/training/test_loop.py",
    "models/training/tensorboard.py": "pipeline/scheduling/test_progress.py",
    "oof/blends/search.py": "oof/blends/test_weights.py",
    "oof/comparison/comparison_file.py": "oof/comparison/test_compare.py",
    "oof/comparison/paired.py": "oof/comparison/test_compare.py",
    "oof/comparison/seed_control.py": "oof/comparison/test_compare.py",
    "oof/comparison/seed_noise.py": "oof/comparison/test_compare.py",
    "oof/members/leak_bounds.py": "oof/members/test_leak_check.py",
    "oof/members/rows.py": "oof/members/test_member.py",
    "oof/metrics/confusion.py": "oof/metrics/test_metric_registry.py",
    "oof/metrics/functions.py": "oof/metrics/test_metric_registry.py",
    "oof/types.py": "oof/metrics/test_metric_registry.py",
    "pipeline/blending/blend_summary.py": "pipeline/commands/test_blend.py",
    "pipeline/blending/compare_summary.py": "pipeline/commands/test_compare.py",
    "pipeline/blending/level_one.py": "pipeline/commands/test_blend.py",
    "pipeline/blending/provenance.py": "pipeline/commands/test_compare.py",
    "pipeline/blending/run_members.py": "pipeline/commands/test_blend.py",
    "pipeline/blending/saved_blend.py": "pipeline/commands/test_blend.py",
    "pipeline/commands/grade.py": "pipeline/test_verbs.py",
    "pipeline/commands/status.py": "pipeline/test_verbs.py",
    "pipeline/commands/submit.py": "pipeline/test_verbs.py",
    "pipeline/commands/train.py": "pipeline/test_verbs.py",
    "pipeline/commands/verify.py": "pipeline/storage/test_checksums.py",
    "pipeline/config/competition_spec.py": "pipeline/config/test_run_config.py",
    "pipeline/config/messages.py": "pipeline/config/test_run_config.py",
    "pipeline/config/yaml_reader.py": "pipeline/config/test_run_config.py",
    "folds/duplicates.py": "folds/test_components.py",
    "pipeline/data/guess_competition.py": "pipeline/commands/test_init.py",
    "pipeline/data/sample_submission.py": "pipeline/data/test_competition.py",
    "pipeline/data/csv_reader.py": "pipeline/data/test_tables.py",
    "pipeline/data/table_readers.py": "pipeline/data/test_tables.py",
    "pipeline/engines/in_process.py": "pipeline/engines/test_multiprocess.py",
    "pipeline/engines/protocol.py": "pipeline/engines/test_multiprocess.py",
    "pipeline/engines/ray_events.py": "pipeline/engines/test_ray_engine.py",
    "pipeline/engines/ray_transfer.py": "pipeline/engines/test_ray_engine.py",
    "pipeline/engines/select.py": "pipeline/engines/test_multiprocess.py",
    "pipeline/errors.py": "pipeline/test_refusals.py",
    "pipeline/fits/caches.py": "pipeline/engines/test_ray_engine.py",
    "pipeline/fits/events.py": "pipeline/engines/test_multiprocess.py",
    "pipeline/fits/inputs.py": "pipeline/engines/test_multiprocess.py",
    "pipeline/fits/job.py": "pipeline/fits/test_plan.py",
    "pipeline/fits/neural_fit.py": "pipeline/fits/test_outputs.py",
    "pipeline/fits/open_run.py": "pipeline/fits/test_plan.py",
    "pipeline/fits/recipes.py": "pipeline/fits/test_plan.py",
    "pipeline/fits/run_fit.py": "pipeline/fits/test_outputs.py",
    "pipeline/fits/timing.py": "pipeline/scheduling/test_budget.py",
    "pipeline/reporting/blend_verdict.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/calibration.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/fold_balance.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/hard_rows.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/html_page.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/learning_curves.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/member_scores.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/report_inputs.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/run_cost.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/svg_figure.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/token_weights.py": "pipeline/commands/test_report.py",
    "pipeline/reporting/train_test_shift.py": "pipeline/commands/test_report.py",
    "pipeline/storage/run_directory.py": "pipeline/storage/test_checksums.py",
}


def wrong_layers(sources: dict[str, str]) -> list[str]:
    """Return a sentence for each import of `pipeline` that goes against the layers, those inside functions too."""
    wrong = []
    for path, source in sources.items():
        parts = Path(path).with_suffix("").parts
        if parts[0] != "pipeline":
            continue
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.ImportFrom) or not node.module or not node.module.startswith("pipeline"):
                continue
            names = node.module.split(".")
            rooms = [names[1]] if len(names) > 1 else [alias.name for alias in node.names]
            for room in rooms:
                here, there = LEVELS[parts[1]], LEVELS[room]
                if room != parts[1] and here >= there and (here, there) != (FOUNDATION, FOUNDATION):
                    wrong.append(f"{path}:{node.lineno} imports pipeline.{room}")
    return wrong


def test_each_layer_of_the_pipeline_imports_only_the_layers_behind_it() -> None:
    assert wrong_layers(list_modules()) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("pipeline/reporting/page.py", "from pipeline.commands.compare import COMPARISON"),
        ("pipeline/blending/a.py", "from pipeline.scheduling.budget import Budget"),
        ("pipeline/fits/a.py", "def late():\n    from pipeline.engines import select"),
        ("pipeline/config/a.py", "from pipeline.storage.files import write_atomically"),
        ("pipeline/display.py", "from pipeline.config.messages import quote"),
    ],
)
def test_an_import_against_the_layers_is_found(path: str, line: str) -> None:
    assert len(wrong_layers({path: line})) == 1


def test_the_limits_of_the_layout_are_kept() -> None:
    broken = [(sentence, over) for sentence, kept, over in measure(list_modules()) if not kept]
    assert broken == []


def test_what_is_beyond_a_limit_is_found() -> None:
    short = {f"oof/many/m{number}.py": "def first(): ...\n" for number in range(MOST_MODULES + 1)}
    long_list = ", ".join(f"a{number}" for number in range(MOST_PARAMETERS + 1))
    wide = {"oof/wide.py": f"def fit({long_list}): ...\n" + "x: dict[str, Any]\n" * MOST_ANY}
    kept = [good for _, good, _ in measure(short | wide)]
    assert kept == [False] * 5
    fine = {"oof/fine.py": "def fit(a): ...\n" + "\n" * SHORTEST}
    assert [good for _, good, _ in measure(fine)] == [True] * 5
    assert (LONGEST, LENGTH_SHARE, VERB_SHARE) == (300, 0.70, 0.60)


def test_names_are_judged_by_their_first_word() -> None:
    assert Function("a:1", "_read_table", 0, False).begins_with_verb
    assert not Function("a:1", "table", 0, False).begins_with_verb
    found = list_functions({"a.py": "class A:\n    @property\n    def size(self): ...\n    def __len__(self): ...\n"})
    assert [(function.name, function.is_property) for function in found] == [("size", True)]
    assert count_any({"a.py": "def f(x: dict[str, Any]) -> Mapping[str, Any]: ..."})["a.py"] == 2


def test_no_name_of_a_file_or_folder_stands_twice_in_a_package() -> None:
    for package in PACKAGES:
        paths = [path for path in (ROOT / package).rglob("*") if path.suffix == ".py" or path.is_dir()]
        names = Counter(path.stem for path in paths if path.stem not in ("__init__", "__pycache__"))
        assert {name for name, times in names.items() if times > 1} == set(), package


def test_every_module_has_a_test_file_of_its_name_or_is_listed_with_the_one_that_reaches_it() -> None:
    modules = [path for path in list_modules() if path != "run.py"]
    named = {path for path in modules if (ROOT / "tests" / Path(path).parent / f"test_{Path(path).name}").is_file()}
    assert sorted(set(modules) - named - set(REACHED_BY)) == [], "neither a test of its name nor in the list"
    assert sorted(set(REACHED_BY) & named) == [], "has a test of its name by now"
    assert sorted(set(REACHED_BY) - set(modules)) == [], "is no module"
    assert sorted(file for file in set(REACHED_BY.values()) if not (ROOT / "tests" / file).is_file()) == []


def test_no_line_of_the_product_names_a_person_or_a_crowd_where_the_field_has_a_term() -> None:
    quaint = re.compile(r"\b(whoever|somebody|nobody|anew|strangers?|deaf|is not to be had|so many)\b", re.IGNORECASE)
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, source in list_modules().items()
        for number, line in enumerate(source.split("\n"), 1)
        if quaint.search(line)
    ]
    assert found == []
