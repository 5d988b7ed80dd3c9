"""One run, from its configuration to its results: what the command line and a notebook both hold."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from lightning.pytorch import LightningModule, Trainer, seed_everything

from callbacks.loggers.logger import loggers_of
from callbacks.loggers.outcomes import outcomes_of
from callbacks.private.lightning import random_states, set_random_states
from callbacks.run.not_fatal import not_fatal
from callbacks.run.run_folder import RunFolder
from callbacks.run.signals import Stopped
from callbacks.technique import Technique
from datamodules.base import DataModule
from datamodules.files.paths import printable
from datamodules.storage.fingerprint import EXAMPLES, TIMES
from lightning_modules.tasks.task import Task
from scripts.cli.command_line.keyword_arguments import words_of
from scripts.cli.command_line.options import AUTO, parse, plain, resolved
from scripts.cli.command_line.ranges import save_every
from scripts.cli.command_line.recipes import Config, Request, dump, resolve
from scripts.cli.command_line.resume_changes import check_settings, is_longer, refuse_changes
from scripts.cli.distributed.launch import broadcast_from_rank_zero, wait_for_others
from scripts.cli.distributed.started_by import check_start
from scripts.cli.errors import UsageError, user_errors
from scripts.cli.evaluate.load import read, request_of, restored
from scripts.cli.evaluate.rows import collected_rows
from scripts.cli.evaluate.typed_input import inputs_of
from scripts.cli.report.page import write_report
from scripts.cli.run.batch_size import MIN_EXAMPLES, largest, of_earlier_run
from scripts.cli.run.build import build, pretrained_run, read_data
from scripts.cli.run.effects import check_data_effects, check_effects
from scripts.cli.run.ending import ending
from scripts.cli.run.extension import check_tail, earlier_extension, explain, new_extension, set_results_aside
from scripts.cli.run.failures import leave, one_cause
from scripts.cli.run.files import logs_at, write_json, write_whole
from scripts.cli.run.folder import Found, earlier_start, find_or_claim, make_checkpoints_folder, release
from scripts.cli.run.library_messages import quiet
from scripts.cli.run.limits import partial, settle_limits
from scripts.cli.run.memory import keep_memory
from scripts.cli.run.predictions_file import NAME, write_predictions
from scripts.cli.run.provenance import Commit, provenance, provenance_table
from scripts.cli.run.report import PROFILE, checked, heading, on_screen, report, results_of
from scripts.cli.run.resume import state_changes
from scripts.cli.run.table_row import row_of
from scripts.cli.run.trainer import Recorded, build_trainer, steps_between_points


class Experiment:
    """A model, its data and a Trainer, from one configuration.

    `Experiment("gat", data="MUTAG", trainer={"max_epochs": 20}).fit()` is the same as `fit.py --model gat --data MUTAG
    --trainer.max_epochs 20`: every option of the command line is an argument here.

    Args:
        name: a recipe's name; None where `config` or `resume` gives it. Or what a command line was resolved to.
        settings: options, and sections of options: `seed_everything=1`, `data={"dataset": "MUTAG", "batch_size": 16}`.

    Raises:
        UserError: a name is unknown, or an option is not what it has to be.
    """

    data: DataModule
    model: LightningModule
    trainer: Trainer
    folder: Path | None = None  # of the run
    checkpoint: Path | None = None  # the best one of the run, or the one that was loaded
    trained_config: Config  # of the run that has saved the one that was loaded

    def __init__(self, name: str | Request | None = None, **settings: Any) -> None:
        quiet()
        with user_errors():
            self.request = name if isinstance(name, Request) else resolve(words_of(name, settings))
            self.parser, self.options = parse(self.request)
            self.extension = earlier_extension(self.request.earlier)
            check_tail(self.options.schedule_tail, self.request.earlier, resolved(self.request, self.options))
        self.name = self.request.name
        self.techniques: dict[str, Technique] = {}
        self.pretrained = ""  # which weights an earlier run gave, in a line
        self.results: dict[str, Any] = {}
        self._recorded: Recorded | None = None
        self._commit: Commit | None = None  # of a run that has begun
        self._built: dict[str, Any] | None = None  # the random states after building, until it is trained
        self._is_loaded = False

    @property
    def config(self) -> Config:
        """The complete configuration in LightningCLI's form; `--config` with it repeats the run."""
        with user_errors():
            config = resolved(self.request, self.options)
        return config | ({"extended": plain(self.extension._asdict())} if self.extension else {})

    @property
    def logs(self) -> Path:
        """The folder of all runs."""
        return logs_at(self.options.logs)

    def build(self) -> Self:
        """Read and split the data, and create a model of its sizes.

        Raises:
            UserError: the data or an option is not what it has to be.
        """
        keep_memory()
        seed_everything(self.options.seed_everything, workers=True, verbose=False)
        with user_errors():
            check_effects(self.request, self.options, self.parser.model)
            ready = self.parser.instantiate(self.options)
            built = build(self.parser.model, self.parser.data, ready, self._least_batch())
            self.data, self.model, self.techniques, self.pretrained = built
            check_data_effects(self.request, self.data)
        if self.options.data.get("batch_size", AUTO) != AUTO:
            self.options.data.batch_size = self.data.batch_size  # it may have shrunk
        self._built = random_states()
        return self

    def check(self) -> str:
        """What is understood of the data, and what in it may be wrong; neither is a model built nor anything trained.

        Raises:
            UserError: the data or an option is not what it has to be.
        """
        with user_errors():
            ready = self.parser.instantiate(self.options)
            if ready.data.get("batch_size") == AUTO:
                ready.data.batch_size = MIN_EXAMPLES
            start = pretrained_run(self.parser.model, ready.model.pretrained)
            return checked(read_data(self.parser.data, dict(ready.data), start, self._least_batch()))

    def _least_batch(self) -> int | None:
        """The least batch size for these processes, if nobody has chosen one."""
        devices, nodes = self.options.trainer.devices, self.options.trainer.num_nodes
        processes = int(devices) * nodes if str(devices).isdecimal() else nodes
        return None if self.request.mentions("data.batch_size") else MIN_EXAMPLES * max(processes, 1)

    def new_trainer(self, run: RunFolder | None = None) -> Trainer:
        """A complete Trainer for the model; without a run's folder it neither logs nor saves.

        Raises:
            UserError: a trainer's option is not what it has to be.
        """
        if run is not None:
            self._recorded = Recorded(
                run,
                self.config,
                save_every(self.options.save_every),
                self.options.logger,
                self.logs,
                lambda: row_of(self.request, self.config, self.logs),
                self._texts,
                self.options.baselines,
            )
        with user_errors():
            ready, techniques = self.parser.instantiate(self.options), [*self.techniques.values()]
            return build_trainer(ready, self.model, self.data, techniques, self._recorded if run else None)

    def fit(self) -> Self:
        """Train, and test the best checkpoint; print what is trained, and the results.

        What `build()` has built is trained as it is by then; otherwise, and every further time, it is built first.

        Raises:
            UserError: the run cannot be begun, or was ended by what the user can correct.
            SystemExit: a signal has ended it, with 128 and the signal's number; or another of its processes was lost.
        """
        run, self._commit = RunFolder(), Commit()
        try:
            with user_errors():
                resumed = self._begin(run)
            if self.trainer.is_global_zero:
                if resumed is None and self.data.is_own:
                    print(on_screen(f"{self.data.summary().text()}\n"))
                line = heading(self.name, self.model, self.data, self.trainer, run.path, resumed, self.pretrained)
                print(on_screen(line), flush=True)
            with one_cause(self.trainer, run.path):
                self.trainer.fit(self.model, self.data, ckpt_path=resumed, weights_only=True)
                self._test(run)
        except Stopped as stopped:
            leave(stopped, self.trainer, run.path)
        finally:
            self.close()
        return self

    def _begin(self, run: RunFolder) -> Path | None:
        """Everything before the first step; the checkpoint from which the run is resumed, if it is."""
        if self._is_loaded:
            raise UsageError(
                f"fit: {self.checkpoint} was loaded to predict with; Experiment(resume=…) continues its run, and "
                f"model={{'pretrained': …}} starts another one from its weights"
            )
        check_start(self.options.trainer.devices, self.options.trainer.num_nodes)
        check_settings(self.request.earlier, self.config, self.options.inexact)
        auto = self.options.data.get("batch_size") == AUTO
        try:
            if auto:
                self.options.data.batch_size = MIN_EXAMPLES
            if self._built is None:
                self.build()
            else:
                set_random_states(self._built)
            self._built = None
            self.trainer = self.new_trainer(run)
            if not auto:
                self.data.check_processes(self.trainer.world_size)  # before any of the others is started
                settle_limits(self.trainer, self.data)
            size, found = broadcast_from_rank_zero(self.trainer, lambda: self._decide(auto))
            if auto:
                self._use_batch_size(size)
            if found.checkpoint is not None:
                changes = state_changes(found.checkpoint, self.trainer, self.data)
                refuse_changes(changes, self.options.inexact)
            self._extend(found)
        except BaseException:
            if auto:
                self.options.data.batch_size = AUTO
            raise
        if self.trainer.is_global_zero:
            make_checkpoints_folder(found.folder)
        run.settle(found.folder)
        profiler: Any = self.trainer.profiler  # type: ignore[attr-defined]
        if (self.options.trainer.profiler or self.options.profile) and not (profiler.dirpath or profiler.filename):
            profiler.dirpath, profiler.filename = found.folder, PROFILE
        self.folder = found.folder
        return found.checkpoint

    def _extend(self, found: Found) -> None:
        """Make a run longer, where more epochs or steps are asked for than it had."""
        if found.checkpoint is not None and is_longer(self.request.earlier, self.config):
            self.extension = new_extension(self.options.schedule_tail, found.checkpoint)
            if self.trainer.is_global_zero:
                print(explain(self.extension, self.model, self.trainer), flush=True)
                set_results_aside(found.folder, self.extension.step)
                write_whole(found.folder / "config.yaml", dump(self.config))
        if isinstance(self.model, Task):
            self.model.extension = self.extension
        assert self._recorded is not None
        self._recorded.config.update(self.config)

    def _decide(self, auto: bool) -> tuple[int | None, Found]:
        """What the first process decides for all: the batch size, if it has to be found, and the run's folder."""
        if auto:
            earlier = self.request.resume or earlier_start(self.name, self.logs)
            techniques = [*self.techniques.values()]
            found = of_earlier_run(earlier) if earlier else largest(self.model, self.data, techniques, self.trainer)
            self._use_batch_size(found.batch_size)
            print(f"batch size {found.batch_size}: {found.reason}")
        for logger in loggers_of(self.trainer):
            logger.check()
        return self.options.data.get("batch_size"), find_or_claim(self.request, self.logs, self.config)

    def _use_batch_size(self, size: int | None) -> None:
        self.options.data.batch_size = self.data.batch_size = size
        if self.options.trainer.log_every_n_steps is None:
            self.trainer.log_every_n_steps = steps_between_points(self.trainer, self.data)  # type: ignore[attr-defined]
        settle_limits(self.trainer, self.data)
        assert self._recorded is not None
        self._recorded.config.update(self.config)

    def _texts(self, trainer: Trainer) -> dict[str, str]:
        """The configuration, and the commit, the versions and the machine, for the loggers."""
        lines = (f"    {printable(line)}" for line in dump(self.config).splitlines())  # as code
        table = provenance_table(provenance(self._commit, trainer))
        return {"run/settings": "\n".join(lines), "run/versions": table}

    def _test(self, run: RunFolder) -> None:
        end = ending(self.trainer)
        checkpoints: Any = self.trainer.checkpoint_callback
        path = checkpoints.to_test() if self.trainer.is_global_zero else None
        self.checkpoint = path = self.trainer.strategy.broadcast(path)
        tested = self.trainer.test(self.model, self.data, ckpt_path=path, weights_only=True, verbose=False)
        self.results = results_of(self.config, tested[0] if tested else {}, self.trainer, path, self.data, end)
        self.results["partial"] = partial(self.trainer, self.data)
        self.results |= provenance(self._commit, self.trainer)
        if self.trainer.is_global_zero:
            run.check()
            with not_fatal("intervals and predictions were"):
                self._judge(run)
            write_json(run.path / "results.json", self.results)
            with not_fatal("report.html was"):
                write_report(run.path, self.options.lang)
            print(report(self.results, run.path, self.trainer), flush=True)

    def _judge(self, run: RunFolder) -> None:
        """Add what the data and the model were, and the intervals of the scores; write down each prediction."""
        weights = self.model.parameters()
        self.results["parameters"] = sum(weight.numel() for weight in weights if weight.requires_grad)
        self.results["sizes"] = {split: len(rows) for split, rows in self.data.splits._asdict().items()}
        self.results["notes"] = self.data.notes
        self.results["fingerprint"] = {
            name: digest for name, digest in self.data.fingerprint.items() if name not in (EXAMPLES, TIMES)
        }
        outcomes, results = outcomes_of(self.trainer), self.model.results() if isinstance(self.model, Task) else None
        if outcomes is not None and results is not None:
            found = results.intervals(outcomes)
            self.results["dependent_examples"] = self.data.dependent_examples()
            self.results["intervals"] = {name: [*found[name]] for name in self.results["test"] if name in found}
            write_predictions(run.path / NAME, results, outcomes)

    def close(self) -> None:
        """Handle no more signals, end the loggers, and let other processes resume the run."""
        if self._commit is not None:
            self._commit.close()
        if self._recorded is not None:
            self._recorded.signals.uninstall()
            for logger in self._recorded.started:
                logger.close()
        release()

    @classmethod
    def load(cls, checkpoint: str | Path, data: str | Path | None = None, options: Sequence[str] = ()) -> Self:
        """A trained model and its data, which is not set up yet, from a checkpoint alone.

        Args:
            checkpoint: a file, or a run's folder.
            data: other data than it was trained on.
            options: of the command line, that differ now, such as `--data.root`.

        Raises:
            UserError: the checkpoint, the data or an option is not what it has to be.
        """
        keep_memory()
        where = str(checkpoint)
        with user_errors():
            path, content = read(where)
            trained = cls(request_of(content, where, None if data is None else str(data), [*options]))
            check_start(trained.options.trainer.devices, trained.options.trainer.num_nodes)
            trained.data, trained.model, trained.trainer = restored(trained.parser, trained.options, content, where)
            trained._is_loaded = True
            trained.checkpoint, trained.trained_config = path, content["config"]
        return trained

    def predict(self, source: str | Path | None = None, example: str | None = None) -> list[dict[str, Any]]:
        """The best checkpoint's predictions: a row for each example of a file or folder, in its order.

        Args:
            source: the file or folder.
            example: in place of it, one as it is typed: a sentence, or a row such as `5.1, 3.5` or `{"a": 5.1}`.

        Raises:
            UserError: nothing has been trained, or the input is not what it has to be.
        """
        trained_in = self.checkpoint or self.folder
        if trained_in is None:
            raise UsageError("predict: nothing is trained; call fit() first, or Experiment.load(checkpoint)")
        allow = [f"--allow={name}" for name in self.parser.allowed or ()]
        trained = self if self._is_loaded else type(self).load(trained_in, options=allow)
        typed = [] if example is None else [example]
        with ExitStack() as files:
            with user_errors():
                files.enter_context(inputs_of(trained.data, source, typed, 1))
            return collected_rows(trained.trainer, trained.model, trained.data)


def fit(request: Request) -> None:
    """Train what a command line describes, or print its configuration where it asks for that."""
    experiment = Experiment(request)
    if experiment.options.print_config:
        print(dump(experiment.config), end="")
    elif experiment.options.check:
        print(on_screen(experiment.check()))
    else:
        experiment.fit()
        wait_for_others(experiment.trainer)
