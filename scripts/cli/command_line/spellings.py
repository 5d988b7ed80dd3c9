"""Other spellings of options: short forms that are accepted, and names of other tools that are answered with ours."""

import difflib
import os
import re
from collections.abc import Iterable

from scripts.cli.command_line.argv import CommandLine
from scripts.cli.errors import UsageError

SHORT_FORMS = {  # each of one option, and what else it means
    "--lr": ("--model.optimizer.lr", ()),
    "--epochs": ("--trainer.max_epochs", ()),
    "--batch_size": ("--data.batch_size", ()),
    "--seed": ("--seed_everything", ()),
    "--gpus": ("--trainer.devices", ("--trainer.accelerator=gpu",)),
    "--workers": ("--data.num_workers", ()),
}
LISTS = ("--data.num_neighbors",)  # options with several whole numbers, which follow with blanks between them
# Options that name a class, whose arguments the parser knows only after it.
CLASSES = ("--model.optimizer", "--trainer.strategy", "--trainer.profiler", "--trainer.accelerator")
SYNONYMS = {
    "--model.optimizer": ("optim", "solver"),
    "--model.optimizer.lr": ("learning_rate", "base_lr", "rate", "eta"),
    "--model.optimizer.weight_decay": ("wd", "l2"),
    "--model.pretrained": ("model_name_or_path", "pretrained_model", "init_from", "weights", "finetune_from"),
    "--model.hidden_size": (
        *("d_model", "n_embd", "embed_dim", "emb_dim", "model_dim", "dim_model", "dim", "width"),
        *("hidden_dim", "hidden_channels", "num_hiddens", "n_hidden"),
    ),
    "--model.num_layers": ("n_layer", "n_layers", "nlayers", "num_hidden_layers", "num_blocks", "depth"),
    "--model.depth": ("num_layers", "n_layers", "num_blocks"),
    "--model.num_heads": ("n_head", "n_heads", "nhead", "nheads", "heads", "num_attention_heads"),
    "--model.num_kv_heads": ("n_kv_head", "n_kv_heads", "num_key_value_heads"),
    "--model.feedforward_size": ("d_ff", "dim_feedforward", "ffn_dim", "intermediate_size", "ffn_hidden_size"),
    "--model.mlp_size": ("d_ff", "dim_feedforward", "ffn_dim", "intermediate_size", "ffn_hidden_size"),
    "--model.dropout": ("drop", "drop_rate", "dropout_rate", "hidden_dropout_prob", "resid_pdrop"),
    "--model.label_smoothing": ("smoothing",),
    "--model.new_tokens": ("max_new_tokens", "max_tokens", "max_gen_len"),
    "--model.schedule": ("scheduler", "lr_scheduler", "lr_scheduler_type", "lr_schedule", "sched"),
    "--model.warmup": ("warmup_ratio", "warmup_steps", "warmup_epochs", "num_warmup_steps"),
    "--trainer.max_epochs": ("n_epochs", "num_epochs", "nepochs", "epoch", "num_train_epochs", "train_epochs"),
    "--trainer.max_steps": ("steps", "n_steps", "num_steps", "max_iters", "iterations", "max_train_steps"),
    "--trainer.devices": ("num_gpus", "n_gpus", "ngpu", "num_devices", "nproc_per_node", "world_size"),
    "--trainer.num_nodes": ("nodes", "nnodes"),
    "--trainer.accelerator": ("device", "cuda", "cpu", "gpu", "use_gpu", "no_cuda", "tpu_cores"),
    "--trainer.precision": ("fp16", "bf16", "amp", "mixed_precision", "half", "dtype"),
    "--trainer.strategy": ("ddp", "fsdp", "distributed", "distributed_backend"),
    "--trainer.accumulate_grad_batches": ("gradient_accumulation_steps", "grad_accum", "accum_iter"),
    "--trainer.gradient_clip_val": ("max_grad_norm", "clip_grad", "grad_clip", "clip_grad_norm", "gradient_clip"),
    "--trainer.log_every_n_steps": ("log_interval", "logging_steps", "log_every", "log_freq"),
    "--trainer.check_val_every_n_epoch": ("eval_every", "val_every", "eval_interval", "eval_freq"),
    "--data": (
        "data_dir",
        "data_path",
        "data_root",
        "dataset_name",
        "train_file",
        "train_data",
        "input",
        "csv",
        "data.path",
    ),
    "--data.batch_size": ("bs", "bsz", "train_batch_size", "per_device_train_batch_size", "minibatch_size"),
    "--data.num_workers": ("n_workers", "dataloader_num_workers", "num_threads"),
    "--data.target": ("label", "labels", "label_column", "target_column", "y"),
    "--data.val_fraction": ("val_split", "validation_split", "val_size", "val_ratio"),
    "--data.test_fraction": ("test_split", "test_size", "test_ratio"),
    "--data.max_length": ("max_len", "max_seq_length", "max_seq_len", "seq_len", "block_size", "context_length"),
    "--data.window": ("seq_len", "block_size", "context_length", "lookback", "input_length"),
    "--data.horizon": ("pred_len", "forecast_horizon", "prediction_length", "output_length"),
    "--data.image_size": ("img_size", "imgsz", "input_size", "resolution"),
    "--data.vocab_size": ("vocabulary_size", "n_vocab", "num_tokens"),
    "--data.num_folds": ("k_folds", "n_splits", "folds"),
    "--early_stopping.patience": ("es_patience", "early_stop", "early_stopping_patience"),
    "--checkpoint.keep": ("save_top_k", "save_total_limit"),
    "--save_every": ("save_steps", "save_interval", "checkpoint_interval", "save_freq"),
    "--resume": ("ckpt_path", "ckpt", "checkpoint", "resume_from_checkpoint", "resume_from", "load_from", "continue"),
    "--logs": ("log_dir", "logdir", "output_dir", "output", "save_dir", "out_dir", "results_dir", "default_root_dir"),
    "--logger": ("wandb", "tensorboard", "report_to", "use_wandb", "mlflow", "tracker"),
    "--seed_everything": ("random_seed", "random_state", "manual_seed"),
    "--config": ("cfg", "conf", "config_file", "yaml"),
    "--model": ("arch", "architecture", "model_name", "net", "network", "backbone"),
    "--finetuning.freeze_epochs": ("freeze", "freeze_backbone", "freeze_encoder", "freeze_epochs"),
    "--averaging.kind": ("ema", "swa", "model_ema", "use_ema"),
    "--lora.rank": ("lora_r", "lora_rank", "peft", "lora.r"),
    "--compile.mode": ("torch_compile", "torchcompile"),
    "--activation_checkpointing.every": ("gradient_checkpointing", "grad_checkpointing"),
}
_BAR = "--trainer.enable_progress_bar false removes the progress bar"
_DONE = "scripts/fit.py trains and tests; scripts/test.py only tests, scripts/predict.py predicts"
_NAME = "a run's folder is lightning_logs/<model>/version_N; --logs puts the runs of an experiment elsewhere"
_RANK = "torchrun and SLURM tell each process its rank by a variable"
_LOADER = "the data module decides that: training data is shuffled in each epoch, the rest never"
SETTLED = {  # what the project sets itself, by the option's last name
    "logger": "--logger names the loggers",
    "default_root_dir": "--logs is the folder of all runs",
    "weights_save_path": "--logs is the folder of all runs",
    "enable_checkpointing": "the best and the last checkpoint are always saved, see --checkpoint.keep",
    "checkpoint_callback": "the best and the last checkpoint are always saved, see --checkpoint.keep",
    "enable_model_summary": "--trainer.callbacks ModelSummary prints one",
    "weights_summary": "--trainer.callbacks ModelSummary prints one",
    "use_distributed_sampler": "the data module gives each process its part of every batch",
    "replace_sampler_ddp": "the data module gives each process its part of every batch",
    "plugins": "--trainer.precision and --trainer.strategy choose them",
    "amp_backend": "--trainer.precision chooses, such as 16-mixed",
    "amp_level": "--trainer.precision chooses, such as 16-mixed",
    "progress_bar_refresh_rate": _BAR,
    "track_grad_norm": "it is always logged, as train/gradient_norm",
    **dict.fromkeys(("local_rank", "rank", "node_rank"), _RANK),
    **dict.fromkeys(("lr_find", "auto_lr_find"), "scripts/find_rate.py finds a learning rate"),
    "auto_scale_batch_size": "--data.batch_size auto finds the largest batch size",
    **dict.fromkeys(("do_train", "do_eval", "do_predict", "evaluate", "eval_only", "test_only"), _DONE),
    **dict.fromkeys(("name", "run_name", "exp_name", "experiment_name", "experiment", "exp_id"), _NAME),
    **dict.fromkeys(("shuffle", "drop_last", "pin_memory", "persistent_workers", "prefetch_factor"), _LOADER),
    "dry_run": "--check shows what is understood of the data, --trainer.fast_dev_run true trains on one batch",
    "verbose": "--debug shows tracebacks",
}
TASK = "SLURM_ARRAY_TASK_ID"
_WHOLE = re.compile(r"-?\d+")
_MEANT: dict[str, list[str]] = {}
for _option, _words in SYNONYMS.items():
    for _word in (_option.rpartition(".")[2], *_words):
        _MEANT.setdefault(_word, []).append(_option)


def spelt_out(words: list[str]) -> list[str]:
    """The words of a command line with options in place of short forms, and classes before their arguments.

    Raises:
        UsageError: a short form and its option are both given.
    """
    line = CommandLine(with_lists(words))
    for short, (option, implied) in SHORT_FORMS.items():
        value = line.value(short)
        if value is None:
            continue
        if line.mentions(option):
            raise UsageError(f"{short} is short for {option}; give one of them")
        line.words += [f"{option}={value}", *(word for word in implied if not line.mentions(word.split("=")[0]))]
    for option in CLASSES:
        arguments = [place for place, word in enumerate(line.words) if word.startswith(f"{option}.")]
        if arguments and line.mentions(option):
            values = [f"{option}={value}" for value in line.values(option)]
            line.words = values + line.words
    return line.words


def with_lists(words: list[str]) -> list[str]:
    """The words with `--option=[15,10]` in place of `--option 15 10`: of -1 argparse would make an option."""
    joined: list[str] = []
    numbers: list[str] | None = None
    for word in words:
        option, _, value = word.partition("=")
        if numbers is not None and _WHOLE.fullmatch(word):
            numbers.append(word)
            joined[-1] = f"{joined[-1].partition('=')[0]}=[{','.join(numbers)}]"
            continue
        numbers = [] if word in LISTS else None
        joined.append(f"{option}=[{value}]" if option in LISTS and _WHOLE.fullmatch(value) else word)
    return joined


def with_array_task(words: list[str], task: str | None = None) -> list[str]:
    """The words with a SLURM array's task in place of `$SLURM_ARRAY_TASK_ID`, as for a seed or a fold.

    Args:
        words: of a command line.
        task: in place of this process's own.

    Raises:
        UsageError: this is no task of an array.
    """
    names = (f"${TASK}", f"${{{TASK}}}")
    if not any(name in word for word in words for name in names):
        return words
    index = task or os.environ.get(TASK)
    if index is None:
        raise UsageError(f"${TASK}: this process is no task of a SLURM array; `submit.py --sbatch array=0-9` makes one")
    for name in names:
        words = [word.replace(name, index) for word in words]
    return words


def short_forms() -> str:
    """The short forms, for the help."""
    listed = (f"{short} for {' '.join([*implied, option])}" for short, (option, implied) in SHORT_FORMS.items())
    return f"short forms: {', '.join(listed)}"


def proposal(option: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or where a setting is made instead; nothing where no option is meant for sure.

    Args:
        option: which is none.
        known: all options.
    """
    known = [each for each in known if not each.endswith(".help")]
    meant_by = {word: options for word, options in ((word, _of(known, _MEANT[word])) for word in _MEANT) if options}
    name = f"--{option.lstrip('-').replace('-', '_').lower()}"
    if name in (f"--{_last(name)}", f"--trainer.{_last(name)}", f"--data.{_last(name)}") and _last(name) in SETTLED:
        return f"; {SETTLED[_last(name)]}"
    if name.removeprefix("--") in meant_by:
        return _did_you_mean(meant_by[name.removeprefix("--")])
    by_last: dict[str, list[str]] = {}
    for each in sorted(
        {*known, *SHORT_FORMS} - {"--help", "--help_all"}, key=lambda each: not each.startswith("--model")
    ):
        by_last.setdefault(_last(each), []).append(each)
    for word, meant in meant_by.items():
        by_last.setdefault(word, meant)
    if _last(name) in by_last:
        meant_here = by_last[_last(name)]
    elif _last(name) in _MEANT:  # what this model or its data does not have: what looks like it is something else
        meant_here = []
    elif whole := difflib.get_close_matches(name, known, n=1, cutoff=0.8):
        meant_here = whole
    else:
        close = difflib.get_close_matches(_last(name), by_last, n=1, cutoff=0.75)
        meant_here = by_last[close[0]] if close else []
    return _did_you_mean(meant_here)


def _of(known: Iterable[str], options: Iterable[str]) -> list[str]:
    """Those of the options that this model or its data has; a class has arguments besides the known ones."""
    varying = ("--model.", "--data.")
    return [e for e in options if e in known or not e.startswith(varying) or e.rpartition(".")[0] in CLASSES]


def _did_you_mean(options: list[str]) -> str:
    return f"; did you mean {' or '.join(options[:3])}?" if options else ""


def _last(option: str) -> str:
    return option.lstrip("-").rpartition(".")[2]
