"""What training costs, in plain words, and a trace of a few of its steps."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.profilers import Profiler

WARM_UP, TRACED = 5, 10  # steps
MOST = 10  # costs that are shown
TRACE = "fit-profile.pt.trace.json"  # as TensorBoard's plugin and chrome://tracing read it

STEP = "the step"
OTHER = "the Trainer's loop and callbacks"
DATA, VALIDATION, SAVING, LOGGING = "waiting for data", "validation", "saving checkpoints", "logging"
ACTIONS = (  # parts of Lightning's names of what it does; the first that is found decides
    ("dataloader_next", DATA),
    ("val_next", VALIDATION),
    ("save_checkpoint", SAVING),
    ("Checkpoints.", SAVING),
    ("]LogExamples.", "pictures of examples"),
    *((f"]{name}.", LOGGING) for name in ("RunMetadata", "TrainingMonitor", "LearningRateMonitor", "Progress")),
    ("[Callback]", OTHER),
    ("validation", VALIDATION),
    ("[LightningDataModule]", "preparing batches"),
    ("batch_to_device", "preparing batches"),
    ("transfer_batch", "preparing batches"),
    ("run_training_batch", STEP),
    ("optimizer", STEP),
    ("training_step", STEP),
    ("backward", STEP),
    ("lr_scheduler_step", STEP),
)
BETWEEN = "Python between operations"
FAMILIES = (  # parts of the names of torch's operations, likewise
    ("sparse", "sparse products"),
    ("Optimizer.", "optimizer"),
    ("_foreach_", "optimizer"),
    ("_fused_", "optimizer"),
    ("lstm", "recurrent layers"),
    ("gru", "recurrent layers"),
    ("rnn", "recurrent layers"),
    ("attention", "attention"),
    ("conv", "convolutions"),
    ("norm", "normalisation"),
    ("addmm", "matrix products"),
    ("mm", "matrix products"),
    ("linear", "matrix products"),
    ("softmax", "softmax and loss"),
    ("loss", "softmax and loss"),
    ("entropy", "softmax and loss"),
    ("pool", "pooling"),
    ("dropout", "dropout and random numbers"),
    ("bernoulli", "dropout and random numbers"),
    ("rand", "dropout and random numbers"),
    ("normal_", "dropout and random numbers"),
    ("embedding", "gathering and scattering"),
    ("index", "gathering and scattering"),
    ("gather", "gathering and scattering"),
    ("scatter", "gathering and scattering"),
    ("copy", "copies and conversions"),
    ("clone", "copies and conversions"),
    ("cat", "copies and conversions"),
    ("aten::to", "copies and conversions"),
    ("contiguous", "copies and conversions"),
    ("autograd::", "bookkeeping of gradients"),
)
ELEMENTWISE = "elementwise and other operations"


def named(name: str, table: Iterable[tuple[str, str]], otherwise: str) -> str:
    """What a table calls something."""
    return next((words for part, words in table if part in name), otherwise)


class Costs(Profiler):
    """Adds up what training spends its time on, and traces ten steps after five.

    Of what is nested the innermost counts, but in a validation nothing but that. Of the traced steps, which are slower,
    only the operations' shares are used. Neither changes what is computed.
    """

    def __init__(self, dirpath: str | Path | None = None, filename: str | None = None) -> None:
        super().__init__(dirpath, filename)
        self.seconds: dict[str, float] = defaultdict(float)
        self.traced: dict[str, float] = defaultdict(float)  # of the traced steps
        self.operations: dict[str, float] = {}  # microseconds of each, in these
        self.steps = 0
        self.trace: Any = None
        self.has_trace = False
        self._actions: list[tuple[str, str]] = []
        self._mark = 0.0
        self._began = False

    def start(self, action_name: str) -> None:
        """Something begins."""
        self._began = self._began or action_name == "run_training_epoch"
        self._add()
        outer = self._actions[-1][1] if self._actions else ""
        self._actions.append((action_name, outer if outer == VALIDATION else named(action_name, ACTIONS, OTHER)))

    def stop(self, action_name: str) -> None:
        """Something has ended."""
        self._add()
        while self._actions and self._actions.pop()[0] != action_name:
            pass  # what an error has ended with it
        if action_name == "run_training_batch" and self._stage == "fit":
            self.steps += 1
            if self.steps == WARM_UP:
                self._begin()
            elif self.steps == WARM_UP + TRACED:
                self._end()
            self._mark = time.perf_counter()

    def _add(self) -> None:
        now = time.perf_counter()
        if self._began and self._actions and self._stage == "fit":
            (self.seconds if self.trace is None else self.traced)[self._actions[-1][1]] += now - self._mark
        self._mark = now

    def _begin(self) -> None:
        kinds = torch.profiler.ProfilerActivity
        self.trace = torch.profiler.profile(
            activities=[kinds.CPU, *([kinds.CUDA] if torch.cuda.is_available() else [])],
            acc_events=True,  # without it, later versions of torch warn
        )
        self.trace.start()

    def _end(self) -> None:
        if self.trace is None:
            return
        self.trace.stop()
        found = self.trace.key_averages()
        on_device = any(each.self_device_time_total for each in found)
        times = "self_device_time_total" if on_device else "self_cpu_time_total"
        self.operations = {each.key: getattr(each, times) for each in found if "DataLoader" not in each.key}
        if self.dirpath and not self.local_rank:
            self.trace.export_chrome_trace(str(Path(self.dirpath) / TRACE))
        self.trace, self.has_trace = None, True

    def describe(self) -> None:
        """Write what training has cost."""
        if self._stage == "fit":
            self._end()
            super().describe()

    def summary(self) -> str:
        """The largest costs, the largest first."""
        total = sum(self.seconds.values())
        shares = {name: seconds / total for name, seconds in self.seconds.items()} if total else {}
        if self.operations and STEP in shares:
            step = shares.pop(STEP)
            for name, share in parts_of(self.operations, self.traced[STEP]).items():
                shares[name] = shares.get(name, 0) + step * share
        largest = sorted(shares.items(), key=lambda each: -each[1])[:MOST]
        lines = [f"{share:6.1%}  {name}" for name, share in largest]
        traced = f"steps {WARM_UP + 1} to {min(self.steps, WARM_UP + TRACED)} are in the trace"
        if not self.has_trace:
            traced = f"no trace: the run has only {self.steps} steps, and those from {WARM_UP + 1} on are traced"
        return "\n".join([f"what {total:.1f} s of training, without traced steps, were spent on; {traced}", *lines, ""])


def parts_of(operations: Mapping[str, float], seconds: float) -> dict[str, float]:
    """The fractions of a step's time by families of operations, each with its largest one, and of what is between them.

    Args:
        operations: microseconds of each, by name.
        seconds: of the steps.
    """
    families: dict[str, dict[str, float]] = defaultdict(dict)
    for name, duration in operations.items():
        families[named(name, FAMILIES, ELEMENTWISE)][name] = duration
    whole = max(seconds * 1e6, sum(operations.values()), 1e-9)
    found = {}
    for family, members in families.items():
        largest = max(members, key=lambda name: members[name]).removeprefix("aten::")
        found[f"{family} ({largest})"] = sum(members.values()) / whole
    return found | {BETWEEN: 1 - sum(found.values())}
