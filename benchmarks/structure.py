"""Measure how easily a stranger finds a line: modules a folder, their lengths, names, types and parameters.

    python benchmarks/structure.py            # one line for each figure, with what is over its limit below

The limits are those of docs/architecture.md; tests/test_structure.py holds the code to them.
"""

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pipeline", "folds", "models", "oof", "submissions")
MOST_MODULES = 14  # in one folder
SHORTEST, LONGEST = 80, 300  # lines of a module
LENGTH_SHARE, VERB_SHARE = 0.70, 0.60
MOST_ANY = 30  # times that `dict[str, Any]` may stand in the product
MOST_PARAMETERS = 9

# A function name begins with one of these. Extend the list for a real verb, never for a noun.
VERBS = frozenset(
    re.findall(
        r"\w+",
        """
        accept add adjust align allow append apply arrange ask assign average begin bind blend block bound build cache
        call cancel capitalise capture change check checkpoint choose classify clean clear climb clip close collate
        collect combine compact compare complete compose compute condense configure connect convert copy correct
        correlate count create cross cut decide decode decompose deduplicate derive descend describe detect digest
        disable discard divide do download draw drop dry embed enable encode end ensure enter estimate evaluate exclude
        execute exit expand explain export extend extract fetch fill filter find finish fit flatten flush follow
        forecast format freeze gather generate get give grade group grow guess halve handle has hash have hold identify
        ignore import improve include infer init initialise insert inspect interpolate is iterate join judge keep kill
        label leave limit list load locate lock look lower make map mark match measure merge mix move name need
        normalise note number open optimise order pack pad parse pass permute pick place plan plot pool pop predict
        prepare print probe produce prune pull push put quantise quote raise rank read rebuild receive record recover
        reduce refine refuse register rehearse reject release remember remove rename render reorder repeat replace
        report request require resample resize resolve restore restrict resume retry return reverse round run sample
        save say scale schedule score search select send serve set shade shape share shorten should show shrink shuffle
        sign silence skip smooth solve sort spell split stack start state step stop store stratify submit subtract
        suggest sum summarise suspend sweep switch sync tabulate take tell terminate test time tokenise trace train
        transform translate truncate try unpack unscale unseal update upload use validate verify wait walk warn watch
        weigh weight wrap write yield zero
        """,
    )
)


@dataclass(frozen=True)
class Function:
    """One function or method of the product: where it stands, its name and the number of its parameters."""

    where: str
    name: str
    parameters: int
    is_property: bool

    @property
    def begins_with_verb(self) -> bool:
        """True if the first word of the name is in VERBS."""
        return self.name.strip("_").split("_")[0] in VERBS


def list_modules() -> dict[str, str]:
    """Return the source of each module of the product by its path; packages' own docstrings are left out."""
    paths = [ROOT / "run.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in paths
        if path.name != "__init__.py"
    }


def list_functions(modules: dict[str, str]) -> list[Function]:
    """Return every function and method, nested ones too, but for dunder methods and `forward`."""
    return [function for path, source in modules.items() for function in _walk(path, ast.parse(source))]


def count_any(modules: dict[str, str]) -> Counter[str]:
    """Return how often `dict[str, Any]` stands in each module, aliases and mappings included."""
    found: Counter[str] = Counter()
    for path, source in modules.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Subscript) and ast.unparse(node) in ("dict[str, Any]", "Mapping[str, Any]"):
                found[path] += 1
    return found


def _walk(path: str, tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if (node.name.startswith("__") and node.name.endswith("__")) or node.name in ("forward", "extra_repr"):
                continue
            arguments = node.args
            names = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            decorators = {ast.unparse(one) for one in node.decorator_list}
            count = len([name for name in names if name not in ("self", "cls")])
            yield Function(
                f"{path}:{node.lineno}", node.name, count, bool(decorators & {"property", "cached_property"})
            )


def measure(modules: dict[str, str]) -> list[tuple[str, bool, list[str]]]:
    """Return for each limit a sentence, whether it is kept, and what is over it."""
    lengths = {path: source.count("\n") for path, source in modules.items()}
    folders = Counter(str(Path(path).parent) for path in modules)
    fitting = [path for path, lines in lengths.items() if SHORTEST <= lines <= LONGEST]
    functions = [function for function in list_functions(modules) if not function.is_property]
    verbs = [function for function in functions if function.begins_with_verb]
    wide = [f for f in functions if f.parameters > MOST_PARAMETERS and not f.where.startswith("pipeline/commands/")]
    untyped = count_any(modules)
    full = [f"{folder}: {count}" for folder, count in folders.items() if count > MOST_MODULES]
    share, spoken = len(fitting) / len(lengths), len(verbs) / len(functions)
    others = [
        f"{path}: {lines}" for path, lines in sorted(lengths.items(), key=lambda one: one[1]) if path not in fitting
    ]
    return [
        (f"at most {max(folders.values())} modules in a folder (limit {MOST_MODULES})", not full, full),
        (
            f"{share:.0%} of {len(lengths)} modules have {SHORTEST} to {LONGEST} lines (at least {LENGTH_SHARE:.0%})",
            share >= LENGTH_SHARE,
            others,
        ),
        (
            f"{spoken:.0%} of {len(functions)} functions begin with a verb (at least {VERB_SHARE:.0%})",
            spoken >= VERB_SHARE,
            [f"{function.where} {function.name}" for function in functions if not function.begins_with_verb],
        ),
        (
            f"dict[str, Any] stands {untyped.total()} times (fewer than {MOST_ANY})",
            untyped.total() < MOST_ANY,
            [f"{path}: {count}" for path, count in untyped.most_common()],
        ),
        (
            f"{len(wide)} functions outside commands/ have more than {MOST_PARAMETERS} parameters (none)",
            not wide,
            [f"{function.where} {function.name}: {function.parameters}" for function in wide],
        ),
    ]


def main() -> int:
    """Print the figures. Return 1 if a limit is broken, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="list what lies outside each limit, kept or not")
    args = parser.parse_args()
    kept = True
    for sentence, good, over in measure(list_modules()):
        print(f"{'ok ' if good else 'NO '} {sentence}")
        if args.all or not good:
            print("".join(f"      {line}\n" for line in over), end="")
        kept &= good
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
