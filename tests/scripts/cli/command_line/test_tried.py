"""Command lines as people have typed them, by kind, and what becomes of each: a run, or one line; add what comes up."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from scripts.fit import main as fit

RUNS = ""  # in place of what the line says
TRIED = {
    "names of other tools": [
        ("--model mlp --learning_rate 0.01", "--learning_rate: no such option; did you mean --model.optimizer.lr?"),
        ("--model mlp --max_steps 10", "--max_steps: no such option; did you mean --trainer.max_steps?"),
        ("--model mlp --n_epochs 3", "--n_epochs: no such option; did you mean --trainer.max_epochs?"),
        ("--model mlp --batch-size 8", "--batch-size: no such option; did you mean --data.batch_size?"),
        ("--model mlp --bs 8", "--bs: no such option; did you mean --data.batch_size?"),
        ("--model mlp --num_workers 2", "--num_workers: no such option; did you mean --data.num_workers?"),
        ("--model mlp --devices 2", "--devices: no such option; did you mean --trainer.devices?"),
        ("--model mlp --accelerator tpu", "--accelerator: no such option; did you mean --trainer.accelerator?"),
        ("--model mlp --fp16", "--fp16: no such option; did you mean --trainer.precision?"),
        ("--model mlp --fp16 true", "--fp16: no such option; did you mean --trainer.precision?"),
        ("--model mlp --amp", "--amp: no such option; did you mean --trainer.precision?"),
        ("--model mlp --precision 16", "--precision: no such option; did you mean --trainer.precision?"),
        (
            "--model mlp --weight_decay 0.1",
            "--weight_decay: no such option; did you mean --model.optimizer.weight_decay?",
        ),
        ("--model mlp --warmup 10", "--warmup: no such option; did you mean --model.warmup?"),
        ("--model mlp --deterministic", "--deterministic: no such option; did you mean --trainer.deterministic?"),
        ("--model mlp --patience 3", "--patience: no such option; did you mean --early_stopping.patience?"),
        ("--model mlp --ckpt_path last", "--ckpt_path: no such option; did you mean --resume?"),
        (
            "--model mlp --checkpoint x",
            "--checkpoint: expected one of its options, such as --checkpoint.keep, --checkpoint.every_epoch;",
        ),
        ("--model mlp --output_dir x", "--output_dir: no such option; did you mean --logs?"),
        ("--model mlp --logdir x", "--logdir: no such option; did you mean --logs?"),
        (
            "--model mlp --name exp1",
            "--name: no such option; a run's folder is lightning_logs/<model>/version_N; --logs puts the runs of",
        ),
        ("--model mlp --optimizer AdamW", "--optimizer: no such option; did you mean --model.optimizer?"),
        ("--model mlp --optimizer.lr 1e-3", "--optimizer.lr: no such option; did you mean --lr?"),
        ("--model mlp --scheduler.T_max 10", "--scheduler.T_max: no such option"),
        ("--model mlp --verbose", "--verbose: no such option; --debug shows tracebacks"),
        (
            "--model mlp --dry-run",
            "--dry-run: no such option; --check shows what is understood of the data, --trainer.fast_dev_run",
        ),
        ("--model mlp --ema 0.99", "--ema: no such option; did you mean --averaging.kind?"),
        ("--model mlp --ema.decay 2", "--ema.decay: no such option; did you mean --averaging.decay?"),
        ("--model mlp --swa", "--swa: no such option; did you mean --averaging.kind?"),
        ("--model mlp --pretrained true", "--pretrained: no such option; did you mean --model.pretrained?"),
        ("--model cnn --img-size 32", "--img-size: no such option; did you mean --data.image_size?"),
    ],
    "options of earlier Lightnings": [
        (
            "--model mlp --trainer.auto_lr_find true",
            "--trainer.auto_lr_find: no such option; scripts/find_rate.py finds a learning rate",
        ),
        (
            "--model mlp --trainer.auto_scale_batch_size power",
            "--trainer.auto_scale_batch_size: no such option; --data.batch_size auto finds the largest batch size",
        ),
        (
            "--model mlp --trainer.resume_from_checkpoint x.ckpt",
            "--trainer.resume_from_checkpoint: no such option; did you mean --resume?",
        ),
        ("--model mlp --trainer.gpus 1", "--trainer.gpus: no such option; did you mean --gpus?"),
        (
            "--model mlp --trainer.tpu_cores 8",
            "--trainer.tpu_cores: no such option; did you mean --trainer.accelerator?",
        ),
        (
            "--model mlp --trainer.weights_save_path x",
            "--trainer.weights_save_path: no such option; --logs is the folder of all runs",
        ),
        (
            "--model mlp --trainer.checkpoint_callback false",
            "--trainer.checkpoint_callback: no such option; the best and the last checkpoint are always saved,",
        ),
        (
            "--model mlp --trainer.amp_backend native",
            "--trainer.amp_backend: no such option; --trainer.precision chooses, such as 16-mixed",
        ),
        (
            "--model mlp --trainer.replace_sampler_ddp false",
            "--trainer.replace_sampler_ddp: no such option; the data module gives each process its part of every",
        ),
        (
            "--model mlp --trainer.progress_bar_refresh_rate 10",
            "--trainer.progress_bar_refresh_rate: no such option; --trainer.enable_progress_bar false removes",
        ),
        (
            "--model mlp --trainer.track_grad_norm 2",
            "--trainer.track_grad_norm: no such option; it is always logged, as train/gradient_norm",
        ),
        ("--model mlp --trainer.logger wandb", "--trainer.logger: no such option; --logger names the loggers"),
        ("--model mlp --trainer.logger false", "--trainer.logger: no such option; --logger names the loggers"),
    ],
    "Lightning's options": [
        ("--model mlp --trainer.max_steps 10 --trainer.max_epochs 1", RUNS),
        (
            "--model mlp --trainer.accelerator tpu",
            "--trainer: Requirement 'torch_xla>=1.13' not met. HINT: Try running `pip install -U",
        ),
        ("--model mlp --trainer.accelerator mps", "--trainer.accelerator mps: expected a device that is here"),
        (
            "--model mlp --trainer.accelerator GPU",
            "--trainer.accelerator GPU: expected one of auto, cpu, gpu, cuda, mps, tpu",
        ),
        (
            "--model mlp --trainer.accelerator CPU",
            "--trainer.accelerator CPU: expected one of auto, cpu, gpu, cuda, mps, tpu",
        ),
        ("--model mlp --trainer.devices auto", RUNS),
        ("--model mlp --trainer.devices -1", "--trainer.devices -1: expected how many processes on a CPU, such as 1"),
        ("--model mlp --trainer.devices 1.5", "--trainer.devices: expected auto, how many, or their numbers, got 1.5"),
        ("--model mlp --trainer.precision 16", RUNS),
        ("--model mlp --trainer.precision bf16", RUNS),
        ("--model mlp --trainer.precision bfloat16", "--trainer.precision: expected one of auto, 32"),
        ("--model mlp --trainer.precision float16", "--trainer.precision: expected one of auto, 32"),
        ("--model mlp --trainer.precision fp32", "--trainer.precision: expected one of auto, 32"),
        ("--model mlp --trainer.precision 8", "--trainer.precision: expected one of auto, 32"),
        ("--model mlp --trainer.precision transformer-engine", "--trainer.precision: expected one of auto, 32"),
        (
            "--model mlp --trainer.strategy ddp2",
            "--trainer.strategy ddp2: expected one of auto, ddp, ddp_find_unused_parameters_true, fsdp",
        ),
        (
            "--model mlp --trainer.strategy dp",
            "--trainer.strategy dp: expected one of auto, ddp, ddp_find_unused_parameters_true, fsdp; ddp is one",
        ),
        (
            "--model mlp --trainer.strategy deepspeed",
            "--trainer.strategy deepspeed: expected one of auto, ddp, ddp_find_unused_parameters_true, fsdp;",
        ),
        (
            "--model mlp --trainer.strategy deepspeed_stage_2",
            "--trainer.strategy deepspeed_stage_2: expected one of auto, ddp, ddp_find_unused_parameters_true,",
        ),
        (
            "--model mlp --trainer.strategy ddp_notebook",
            "--trainer.strategy ddp_notebook: expected one of auto, ddp, ddp_find_unused_parameters_true, fsdp;",
        ),
        (
            "--model mlp --trainer.strategy FSDP",
            "--trainer.strategy FSDP: expected one of auto, ddp, ddp_find_unused_parameters_true, fsdp",
        ),
        (
            "--model mlp --trainer.gradient_clip_val -1",
            "--trainer.gradient_clip_val: expected a positive number, got -1",
        ),
        ("--model mlp --trainer.gradient_clip_val 0", "--trainer.gradient_clip_val: expected a positive number, got 0"),
        (
            "--model mlp --trainer.gradient_clip_algorithm norm",
            "--trainer.gradient_clip_algorithm norm: is without effect without --trainer.gradient_clip_val",
        ),
        (
            "--model mlp --trainer.gradient_clip_algorithm max",
            "--trainer.gradient_clip_algorithm max: is without effect without --trainer.gradient_clip_val",
        ),
        (
            "--model mlp --trainer.accumulate_grad_batches 0",
            "--trainer.accumulate_grad_batches: expected at least 1, got 0",
        ),
        (
            "--model mlp --trainer.accumulate_grad_batches {0:1,4:2}",
            "--trainer.accumulate_grad_batches: expected int, got {'0:1': None, 242: None}",
        ),
        ("--model mlp --trainer.deterministic true", RUNS),
        ("--model mlp --trainer.deterministic warn", RUNS),
        ("--model mlp --trainer.deterministic yes", RUNS),
        ("--model mlp --trainer.benchmark 1", "--trainer.benchmark: expected bool or null, got 1"),
        ("--model mlp --trainer.log_every_n_steps 0", "--trainer.log_every_n_steps: expected at least 1, got 0"),
        ("--model mlp --trainer.log_every_n_steps -5", "--trainer.log_every_n_steps: expected at least 1, got -5"),
        ("--model mlp --trainer.num_sanity_val_steps -1", RUNS),
        (
            "--model mlp --trainer.num_sanity_val_steps -2",
            "--trainer.num_sanity_val_steps: expected at least 0, or -1 for all, got -2",
        ),
        (
            "--model mlp --trainer.limit_train_batches 1.5",
            "--trainer.limit_train_batches: expected a number of batches, or a share from 0.0 to 1.0, got 1.5",
        ),
        (
            "--model mlp --trainer.limit_train_batches -1",
            "--trainer.limit_train_batches: expected a number of batches, or a share from 0.0 to 1.0, got -1",
        ),
        ("--model mlp --trainer.limit_val_batches 0", RUNS),
        ("--model mlp --trainer.limit_test_batches 0", RUNS),
        (
            "--model mlp --trainer.overfit_batches 1.5",
            "--trainer.overfit_batches: expected a number of batches, or a share from 0.0 to 1.0, got 1.5",
        ),
        (
            "--model mlp --trainer.overfit_batches -1",
            "--trainer.overfit_batches: expected a number of batches, or a share from 0.0 to 1.0, got -1",
        ),
        ("--model mlp --trainer.fast_dev_run 0", RUNS),
        ("--model mlp --trainer.fast_dev_run true", RUNS),
        (
            "--model mlp --trainer.max_time 00:00:00:00",
            "--trainer.max_time: expected days:hours:minutes:seconds, such as 00:01:30:00, got 00:00:00:00",
        ),
        (
            "--model mlp --trainer.max_time 1h",
            "--trainer.max_time: expected days:hours:minutes:seconds, such as 00:01:30:00, got 1h",
        ),
        (
            "--model mlp --trainer.max_time 00:00:01",
            "--trainer.max_time: expected days:hours:minutes:seconds, such as 00:01:30:00, got 00:00:01",
        ),
        (
            "--model mlp --trainer.min_epochs 10 --trainer.max_epochs 5",
            "--trainer.min_epochs 10 and --trainer.max_epochs 5 contradict each other",
        ),
        ("--model mlp --trainer.profiler simple", RUNS),
        (
            "--model mlp --trainer.profiler cprofile",
            "--trainer: When passing string value for the `profiler` parameter of `Trainer`, it can only be one",
        ),
        ("--model mlp --trainer.detect_anomaly maybe", "--trainer.detect_anomaly: expected bool, got maybe"),
        ("--model mlp --trainer.sync_batchnorm true", RUNS),
        ("--model mlp --trainer.reload_dataloaders_every_n_epochs 1", RUNS),
        ("--model mlp --trainer.inference_mode false", RUNS),
        (
            "--model mlp --trainer.barebones true",
            "--trainer: `Trainer(barebones=True, enable_checkpointing=True)` was passed. Checkpointing can",
        ),
        ("--model mlp --trainer.enable_progress_bar no", RUNS),
        ("--model mlp --trainer.callbacks EarlyStopping", "--trainer.callbacks.monitor: EarlyStopping needs monitor"),
        ("--model mlp --trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/loss", RUNS),
        (
            "--model mlp --trainer.callbacks EarlyStopping --trainer.callbacks.monitor val_loss",
            "--trainer.callbacks.monitor val_loss: expected one of val/loss, val/accuracy,",
        ),
        (
            "--model mlp --trainer.callbacks ModelCheckpoint",
            "--trainer.callbacks: leave ModelCheckpoint out; the best and the last checkpoint are saved anyway;",
        ),
        (
            "--model mlp --trainer.callbacks ModelCheckpoint --trainer.callbacks.monitor val_acc",
            "--trainer.callbacks: leave ModelCheckpoint out; the best and the last checkpoint are saved anyway;",
        ),
        ("--model mlp --trainer.callbacks LearningRateMonitor", RUNS),
        (
            "--model mlp --trainer.callbacks RichProgressBar",
            "--trainer.callbacks: leave RichProgressBar out; a run has a progress bar,",
        ),
        ("--model mlp --trainer.callbacks Nope", "--trainer.callbacks: expected a Callback"),
        ("--model mlp --trainer.callbacks+=ModelSummary --trainer.callbacks.max_depth 2", RUNS),
        ("--model mlp --trainer.help", "--trainer.help: no such option"),
        (
            "--model mlp --trainer.accelerator CPU",
            "--trainer.accelerator CPU: expected one of auto, cpu, gpu, cuda, mps, tpu",
        ),
        ("--model mlp --trainer.devices 1.5", "--trainer.devices: expected auto, how many, or their numbers, got 1.5"),
        ("--model mlp --trainer.devices x", "--trainer.devices: expected auto, how many, or their numbers, got x"),
        (
            "--model mlp --trainer.limit_val_batches 2.5",
            "--trainer.limit_val_batches: expected a number of batches, or a share from 0.0 to 1.0, got 2.5",
        ),
    ],
    "optimizers": [
        (
            "--model mlp --model.optimizer adamw",
            "--model.optimizer: expected an Optimizer of torch.optim, got adamw; did you mean AdamW?",
        ),
        ("--model mlp --model.optimizer AdamW --model.optimizer.lr 1e-3", RUNS),
        ("--model mlp --model.optimizer.lr 1e-3 --model.optimizer SGD", RUNS),
        ("--model mlp --model.optimizer SGD --model.optimizer.momentum 2", RUNS),
        (
            "--model mlp --model.optimizer SGD --model.optimizer.nesterov true",
            "--model.optimizer: Nesterov momentum requires a momentum and zero dampening",
        ),
        (
            "--model mlp --model.optimizer Adam --model.optimizer.betas 0.9,0.99",
            "--model.optimizer.betas: expected tuple, got 0.9,0.99",
        ),
        ("--model mlp --model.optimizer Adam --model.optimizer.betas [0.9,0.99]", RUNS),
        (
            "--model mlp --model.optimizer Adam --model.optimizer.betas [0.9,1.99]",
            "--model.optimizer: Invalid beta parameter at index 1: 1.99",
        ),
        ("--model mlp --model.optimizer LBFGS", RUNS),
        ("--model mlp --model.optimizer Adafactor", RUNS),
        ("--model mlp --model.optimizer Lion", "--model.optimizer: expected an Optimizer of torch.optim, got Lion"),
        ("--model mlp --model.optimizer torch.optim.AdamW", RUNS),
        ("--model mlp --model.optimizer.fused true", RUNS),
    ],
    "the model": [
        ("--model mlp --early_stopping.patience 3", RUNS),
        ("--model mlp --early_stopping.patience -3", "--early_stopping.patience: expected at least 1, got -3"),
        (
            "--model mlp --early_stopping 3",
            "--early_stopping: expected one of its options, such as --early_stopping.patience,",
        ),
        ("--model mlp --model.schedule cosine", RUNS),
        (
            "--model mlp --model.lr_schedule cosine",
            "--model.lr_schedule: no such option; did you mean --model.schedule?",
        ),
        ("--model mlp --model.dropout 1", RUNS),
        (
            "--model mlp --model.dropout 1.5",
            "--model.dropout: dropout probability has to be between 0 and 1, but got 1.5",
        ),
        (
            "--model mlp --model.dropout -0.1",
            "--model.dropout: dropout probability has to be between 0 and 1, but got -0.1",
        ),
        ("--model mlp --model.hidden_size 0", "--model.hidden_size: expected at least 1, got 0"),
        ("--model mlp --model.hidden_size 1e3", "--model.hidden_size: expected int, got 1000.0"),
        ("--model mlp --model.num_layers 0", "--model.num_layers: expected at least 1, got 0"),
        ("--model mlp --model.num_classes 7", "--model.num_classes: comes from the data; leave it out"),
        (
            "--model mlp --model.monitor val_acc",
            "--model.monitor val_acc: expected one of val/loss, val/accuracy, val/balanced_accuracy, val/f1,",
        ),
        (
            "--model mlp --model.monitor val/acc",
            "--model.monitor val/acc: expected one of val/loss, val/accuracy, val/balanced_accuracy, val/f1,",
        ),
        ("--model mlp --model.monitor train/loss", RUNS),
        (
            "--model mlp --model.monitor test/accuracy",
            "--model.monitor test/accuracy: expected one of val/loss, val/accuracy, val/balanced_accuracy,",
        ),
        ("--model MLP", "--model MLP: no such model; did you mean mlp? (--list shows them all)"),
        ("--model mlp2", "--model mlp2: no such model; did you mean mlp? (--list shows them all)"),
        ("fit --model mlp", "fit: expected an option, which begins with --"),
        ("train --model mlp", "train: expected an option, which begins with --"),
        ("mlp", "which model? Give --model NAME; --list shows them all; did you mean --model mlp?"),
        ("--Model mlp", "which model? Give --model NAME; --list shows them all; for --Model, did you mean --model?"),
        ("--modle=mlp", "which model? Give --model NAME; --list shows them all; for --modle, did you mean --model?"),
        ("--model.lr 1", "which model? Give --model NAME; --list shows them all"),
        ("-m mlp", "which model? Give --model NAME; --list shows them all"),
        ("--model mlp --model.help", "--model.help: no such option"),
        ("--model mlp --compile", "--compile needs a value"),
        ("--model mlp --compile true", "--compile: expected one of its options, such as --compile.mode"),
        (
            "--model mlp --lora 8",
            "--lora: expected one of its options, such as --lora.rank, --lora.alpha, --lora.dropout",
        ),
        ("--model mlp --lora.r 8", "--lora.r: no such option; did you mean --lora.rank?"),
        ("--model mlp --lora.rank 8", "--lora.rank: adapts BERT's encoder and language models, and MLP is neither"),
        ("--model gat --model.heads 3", "--model.heads: no such option; did you mean --model.num_heads?"),
        ("--model gat --model.num_heads 3", RUNS),
    ],
    "the data": [
        (
            "--model mlp --batch_size 8 --data.batch_size 9",
            "--batch_size is short for --data.batch_size; give one of them",
        ),
        ("--model mlp --data", "--data needs a value"),
        ("--model mlp --data.path x", "--data.path: no such option; did you mean --data?"),
        (
            "--model mlp --data x y",
            "--data x: neither a known data set nor an existing path (known here: breast_cancer, wine, iris)",
        ),
        ("--model mlp --data.dataset iris", RUNS),
        (
            "--model mlp --data iris --data.target species",
            "--data.target species: iris has no such column; it has sepal length (cm), sepal width (cm), petal",
        ),
        ("--model mlp --data Iris", RUNS),
        (
            "--model mlp --data mnist",
            "--data mnist: neither a known data set nor an existing path (known here: breast_cancer, wine, iris)",
        ),
        ("--model mlp --data.val_fraction 1.5", "--data.val_fraction: expected a fraction between 0 and 1, got 1.5"),
        ("--model mlp --data.val_fraction 0", "--data.val_fraction: expected a fraction between 0 and 1, got 0.0"),
        ("--model mlp --data.test_fraction 0", "--data.test_fraction: expected a fraction between 0 and 1, got 0.0"),
        (
            "--model mlp --data.val_fraction 0.6 --data.test_fraction 0.6",
            "--data.val_fraction 0.6 and --data.test_fraction 0.6 leave nothing to train on",
        ),
        ("--model mlp --data.num_folds 1 --data.fold 0", "--data.num_folds: expected at least 2, got 1"),
        (
            "--model mlp --data.num_folds 5 --data.fold 5",
            "--data.fold 5 and --data.num_folds 5 contradict each other: folds count from 0 to 4",
        ),
        ("--model mlp --data.fold 1", "--data.num_folds and --data.fold belong together: give both or neither"),
        (
            "--model mlp --data.shuffle false",
            "--data.shuffle: no such option; the data module decides that: training data is shuffled in each",
        ),
        (
            "--model mlp --data.pin_memory true",
            "--data.pin_memory: no such option; the data module decides that: training data is shuffled in each",
        ),
        (
            "--model mlp --data.drop_last false",
            "--data.drop_last: no such option; the data module decides that: training data is shuffled in each",
        ),
        ("--model mlp --data.balance smote", "--data.balance: expected one of none, weights, over, under, got smote"),
        ("--model bert_classifier --data.max_length 0", "--data.max_length: expected at least 4, got 0"),
        ("--model cnn --data.image_size 0", "--data.image_size: expected at least 1, got 0"),
        ("--model cnn --data.transform x", "--data.transform: no such option"),
    ],
    "the command line itself": [
        ("--model mlp --logger.wandb.project x", "--logger.wandb.project: no such option; variables set that"),
        ("--model mlp --seed_everything.x 1", "--seed_everything: has no options of its own"),
        ("--model mlp --lr=1e-2", RUNS),
        ("--model mlp --lr 1e-2,1e-3", "--model.optimizer.lr: expected float or the name of a class, got 1e-2,1e-3"),
        ("--model mlp --lr -1", "--model.optimizer.lr: expected a positive number, got -1.0"),
        ("--model mlp --lr 0", "--model.optimizer.lr: expected a positive number, got 0.0"),
        ("--model mlp --lr inf", "--model.optimizer.lr: expected float or the name of a class, got inf"),
        ("--model mlp --epochs 0", "--trainer.max_epochs: expected at least 1, got 0"),
        ("--model mlp --epochs 2.5", "--trainer.max_epochs: expected int or null, got 2.5"),
        ("--model mlp --epochs ten", "--trainer.max_epochs: expected int or null, got ten"),
        ("--model mlp --num_train_epochs 3", "--num_train_epochs: no such option; did you mean --trainer.max_epochs?"),
        (
            "--model mlp --per_device_train_batch_size 8",
            "--per_device_train_batch_size: no such option; did you mean --data.batch_size?",
        ),
        ("--model mlp --workers -1", "--data.num_workers: expected at least 0, got -1"),
        ("--model mlp --gpus -1", "--trainer.accelerator gpu: expected a device that is here"),
        ("--model mlp --gpus 0", "--trainer.accelerator gpu: expected a device that is here"),
        ("--model mlp --gpus 0,1", "--trainer.accelerator gpu: expected a device that is here"),
        ("--model mlp --gpus all", "--trainer.accelerator gpu: expected a device that is here"),
        (
            "--model mlp --gradient_accumulation_steps 4",
            "--gradient_accumulation_steps: no such option; did you mean --trainer.accumulate_grad_batches?",
        ),
        ("--model mlp --max_grad_norm 1", "--max_grad_norm: no such option; did you mean --trainer.gradient_clip_val?"),
        ("--model mlp --warmup_steps 10", "--warmup_steps: no such option; did you mean --model.warmup?"),
        ("--model mlp --seed abc", "--seed_everything: expected a whole number from 0, got abc"),
        ("--model mlp --seed -1", "--seed_everything: expected a whole number from 0, got -1"),
        ("--model mlp --seed 99999999999", "--seed_everything: expected at most 4294967295, got 99999999999"),
        ("--model mlp --resume_from_checkpoint x", "--resume_from_checkpoint: no such option; did you mean --resume?"),
        ("--model mlp --resume", "--resume needs a value"),
        ("--model mlp --resume last", "--resume last: there is no such run"),
        ("--model mlp --logger tb", "--logger tb: expected none, or some of"),
        ("--model mlp --logger csv,csv", RUNS),
        ("--model mlp --logger false", "--logger false: expected none, or some of"),
        ("--model mlp --logger comet", "--logger comet: expected none, or some of"),
        ("--model mlp --lr_scheduler cosine", "--lr_scheduler: no such option; did you mean --model.schedule?"),
        (
            "--model mlp --lr_scheduler CosineAnnealingLR",
            "--lr_scheduler: no such option; did you mean --model.schedule?",
        ),
        ("--model", "--model needs a value"),
        ("--model mlp --model gat", "--model mlp and --model gat contradict each other; give one"),
        ("--model mlp --config nope.yaml", "--config nope.yaml: there is no such file"),
        ("--model mlp --config", "--config needs a value"),
        (
            "--config /dev/null",
            "--config /dev/null: not a readable text file (/dev/null: expected a file, found a device)",
        ),
        ("--model mlp --print-config", "--print-config: no such option; did you mean --print_config?"),
        ("--model mlp --version", RUNS),
        ("--version", RUNS),
        ("--model mlp --debug", RUNS),
        (
            "--model mlp --freeze_backbone true",
            "--freeze_backbone: no such option; did you mean --finetuning.freeze_epochs?",
        ),
        (
            "--model bert_classifier --model_name_or_path bert-base-uncased",
            "--model_name_or_path: no such option; did you mean --model.pretrained?",
        ),
        (
            "--model bert_classifier --max_seq_length 64",
            "--max_seq_length: no such option; did you mean --data.max_length?",
        ),
    ],
}


@pytest.mark.long
@pytest.mark.parametrize(("line", "expected"), [row for rows in TRIED.values() for row in rows])
def test_what_was_tried(
    line: str, expected: str, refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*shlex.split(line), "--logs", str(tmp_path / "logs")]
    for option, value, others in (
        ("--trainer.limit_train_batches", "2", ("limit_train", "fast_dev_run", "overfit")),
        ("--trainer.max_epochs", "1", ("epochs", "max_time", "max_steps")),
    ):
        if not any(other in line for other in others):
            words += [option, value]
    if expected is RUNS:
        fit(words)
    else:
        assert expected in refused(fit, *words)
        assert not (tmp_path / "logs").exists()
