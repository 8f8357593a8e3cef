"""The tokenizer of a SentencePiece model, for the `tokenizers` library: that of DeBERTa v2 and v3.

Kudo and Richardson 2018. The normalisation of Unicode is inside of the model, and belongs to the tokenizer.
"""

from pathlib import Path
from typing import Any

import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from models import ModelError

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"  # stands for a space in pieces
SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
UNIGRAM = 1  # of the kinds of models


def build_tokenizer(path: Path, name: str, lowers_case: bool, splits_punctuation: bool) -> Tokenizer:
    """Return the tokenizer of a DeBERTa's SentencePiece model: texts between [CLS] and [SEP].

    `lowers_case` and `splits_punctuation` are do_lower_case and split_by_punct of its tokenizer_config.json; `name` is
    the backbone's in messages. Raises ModelError without the sentencepiece package, and for a file that is no such
    model.
    """
    model = _read_model(path, name)
    pieces = [(piece.piece, piece.score) for piece in model.pieces]
    places = {piece: place for place, (piece, _) in enumerate(pieces)}
    if model.trainer_spec.model_type != UNIGRAM or not {"[CLS]", "[SEP]", "[UNK]"} <= set(places):
        raise ModelError(
            f"backbone {name!r} has a tokenizer, {path.name}, that is not DeBERTa's: it needs tokenizer.json"
        )
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=places["[UNK]"]))
    tokenizer.normalizer = normalizers.Sequence(_list_normalizers(model, lowers_case))
    splitters: list[Any] = [pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")]
    if splits_punctuation:
        splitters.insert(0, pre_tokenizers.Punctuation(behavior="isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splitters)
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def check_normalisation(path: Path, name: str, tokenizer: Any) -> None:
    """Raise ModelError if a tokenizer that transformers made of a SentencePiece model lacks its normalisation.

    transformers 5.0 makes such ones for T5 and XLM-R: full-width letters, say, become unknown tokens.
    """
    model = _read_model(path, name)
    normalizer = tokenizer.backend_tokenizer.normalizer
    made = b"" if normalizer is None else normalizer.__getstate__()
    if model.normalizer_spec.precompiled_charsmap and b'"Precompiled"' not in made:
        raise ModelError(
            f"backbone {name!r} has no tokenizer.json, and transformers {transformers.__version__} makes a tokenizer "
            f"of {path.name} without its normalisation of Unicode: put the tokenizer.json of its publisher beside it, "
            "or take a later transformers"
        )


def _read_model(path: Path, name: str) -> Any:
    try:
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise ModelError(
            f"backbone {name!r} has a tokenizer of SentencePiece, {path.name}, which needs a package: "
            "pip install sentencepiece"
        ) from error
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own errors, which differ between its versions
        raise ModelError(f"backbone {name!r} has an unreadable tokenizer, {path.name}: fetch it again") from error
    return model


def _list_normalizers(model: Any, lowers_case: bool) -> list[Any]:
    steps: list[Any] = [normalizers.Lowercase()] if lowers_case else []
    if model.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap))
    return [*steps, normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
