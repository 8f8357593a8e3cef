"""The peer: one fit by the Hugging Face Trainer, as a competitor would use it.

usage: python benchmarks/trainer.py TRAIN.csv --text COL [COL2] --target COL --folds-csv FILE --only-fold 0 ...

Texts tokenised in one call, batches grouped by length and padded to their longest, the fused AdamW; `--notebook` pads
every text to --max-length and shuffles freely, as most public notebooks do. TRAIN.csv has its ids in its first column,
the folds file the columns id and fold, as a run of Poolblend keeps it. Needs benchmarks/requirements.txt.

Prints one JSON line: seconds of the fit (encoder, tokens, training, predictions; imports apart), training tokens per
second, the score on the fold, the share of padding among the tokens trained on, peak memory.
"""

import argparse
import json
import resource
import tempfile
import time

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import log_loss, root_mean_squared_error
from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments, set_seed
from transformers.utils import logging

POOLINGS = {
    "cls": lambda hidden, real: hidden[:, 0],
    "mean": lambda hidden, real: (hidden * real).sum(1) / real.sum(1),
    "max": lambda hidden, real: hidden.masked_fill(~real, -torch.inf).amax(1),
    "min": lambda hidden, real: hidden.masked_fill(~real, torch.inf).amin(1),
}


class Classifier(torch.nn.Module):
    """Encoder, pooling, linear head, and the loss that the Trainer asks of a model."""

    def __init__(self, backbone: str, pooling: str, outputs: int) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(backbone)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # unused
        self.pooling, self.head = POOLINGS[pooling], torch.nn.Linear(self.encoder.config.hidden_size, outputs)

    def forward(self, labels: torch.Tensor | None = None, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits (batch, outputs), and the mean loss where there are labels."""
        hidden = self.encoder(**inputs).last_hidden_state  # (batch, tokens, width)
        logits = self.head(self.pooling(hidden, inputs["attention_mask"].bool().unsqueeze(-1))).float()
        if labels is None:
            return {"logits": logits}
        if labels.is_floating_point():
            return {"loss": torch.nn.functional.mse_loss(logits[:, 0], labels), "logits": logits}
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class Collator(DataCollatorWithPadding):
    """Counts the tokens of the batches that it pads for training."""

    real = padded = 0

    def __call__(self, features):  # type: ignore[no-untyped-def]
        batch = super().__call__(features)
        if "labels" in batch:
            self.real += int(batch["attention_mask"].sum())
            self.padded += batch["attention_mask"].numel()
        return batch


def main() -> None:
    """Do the fit that the command line asks for and print its JSON line."""
    args = parse()
    logging.set_verbosity_error()
    frame = pd.read_csv(args.train, na_filter=False)
    fold = pd.read_csv(args.folds_csv).set_index("id")["fold"].loc[frame.iloc[:, 0]].to_numpy()
    train, valid = np.flatnonzero(fold != args.only_fold), np.flatnonzero(fold == args.only_fold)
    numbers = args.task == "regression"
    truth = frame[args.target].to_numpy(np.float64) if numbers else pd.factorize(frame[args.target], sort=True)[0]
    outputs = 1 if numbers else truth.max() + 1
    started = time.perf_counter()
    set_seed(args.seed)
    centre, scale = (truth[train].mean(), truth[train].std()) if numbers else (0, 1)
    tokenizer = AutoTokenizer.from_pretrained(args.backbone)
    texts, padding = [frame[c].astype(str).tolist() for c in args.text], "max_length" if args.notebook else False
    encoded = tokenizer(*texts, truncation=True, max_length=args.max_length, padding=padding)
    labels = ((truth - centre) / scale).tolist() if numbers else truth.tolist()
    rows = [{name: encoded[name][row] for name in encoded} for row in range(len(frame))]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            Classifier(args.backbone, args.poolings, outputs),
            settings(args, folder),
            train_dataset=[{**rows[row], "labels": labels[row]} for row in train],
            data_collator=Collator(tokenizer),
        )
        trainer.train()
        trainer.args.train_sampling_strategy = "random"  # left grouped, predict() returns rows in order of length
        logits = torch.tensor(trainer.predict([rows[row] for row in valid]).predictions).double()
    predicted = (logits * scale + centre if numbers else logits.softmax(1)).numpy()
    seconds, cuda = time.perf_counter() - started, torch.cuda.is_available()
    error = root_mean_squared_error if numbers else lambda *pair: log_loss(*pair, labels=range(outputs))
    memory = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = {
        "seconds": round(seconds, 2),
        "train_tokens_per_second": round(trainer.data_collator.real / seconds),
        "rmse" if numbers else "log_loss": {args.poolings: round(float(error(truth[valid], predicted)), 5)},
        "padding": round(1 - trainer.data_collator.real / trainer.data_collator.padded, 4),
        "peak_mib": round(memory / 2**20),
    }
    print(json.dumps(line))


def settings(args: argparse.Namespace, folder: str) -> TrainingArguments:
    """The recipe; the rest stays at the Trainer's default: linear decay, clipping at 1, no weight decay."""
    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=args.epochs,
        per_device_train_batch_size=args.batch,
        per_device_eval_batch_size=64,
        learning_rate=args.lr,
        warmup_steps=0.1,
        optim="adamw_torch_fused",
        bf16=args.bf16,
        use_cpu=not torch.cuda.is_available(),  # else bf16 is refused there
        seed=args.seed,
        train_sampling_strategy="random" if args.notebook else "group_by_length",
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )


def parse() -> argparse.Namespace:
    """The command line."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("train")
    flags.add_argument("--text", nargs="+", required=True)
    flags.add_argument("--target", required=True)
    flags.add_argument("--folds-csv", required=True)
    flags.add_argument("--backbone", required=True, help="a folder or a hub name")
    flags.add_argument("--task", choices=["classification", "regression"], default="classification")
    flags.add_argument("--only-fold", type=int, default=0, help="the fold that is predicted (default: 0)")
    flags.add_argument("--poolings", choices=POOLINGS, default="mean", help="the pooling")
    flags.add_argument("--epochs", type=int, default=2)
    flags.add_argument("--batch", type=int, default=16)
    flags.add_argument("--lr", type=float, default=5e-5)
    flags.add_argument("--max-length", type=int, default=128)
    flags.add_argument("--seed", type=int, default=42)
    flags.add_argument("--bf16", action="store_true")
    flags.add_argument("--notebook", action="store_true", help="pad to --max-length, shuffle freely")
    return flags.parse_args()


if __name__ == "__main__":
    main()
