"""Running text for language models: documents of any number and length, as windows of tokens."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import tokenizers
import torch
from torch import Tensor

from datamodules.baselines.baseline import Baseline
from datamodules.baselines.byte_ngram import ByteNGram
from datamodules.baselines.compression import Compression
from datamodules.checking.facts import sizes_fact
from datamodules.checking.neighbours import text_vectors
from datamodules.checking.suspicions import ALIKE_TEXTS, Compared
from datamodules.errors import DataError
from datamodules.files.corpus_files import ROWS, TEXTS, corpus_files, unpacked_name
from datamodules.files.paths import regular
from datamodules.files.splits import listed
from datamodules.files.text_documents import Document
from datamodules.files.text_files import json_lines, lines_of
from datamodules.language import LanguageData
from datamodules.loading.examples import Source
from datamodules.loading.sampling import Splits
from datamodules.storage.catalogue import CORPORA, Remotes
from datamodules.storage.corpus_documents import Cuts, DocumentIndex, FileTexts, ListedTexts, Texts, indexed, pieces
from datamodules.storage.fingerprint import hash_numbers
from datamodules.storage.stored_rows import split_indices
from datamodules.storage.streaming import Repeatable
from datamodules.storage.token_stream import stored_stream, stream_in_memory
from datamodules.synthetic.exercises import generated_exercises
from datamodules.tokenized import TextExamples, check_minimum
from datamodules.tokenizing.document_encoder import DocumentEncoder
from datamodules.tokenizing.language import bytes_of_tokens, prompt_tokens
from datamodules.tokenizing.packed import IGNORED, Packed
from datamodules.tokenizing.row_bytes import ByteTable
from datamodules.tokenizing.tokens import Ragged
from datamodules.tokenizing.windows import WindowExamples, Windows

MAX_COMPARED = 4 * 10**6  # documents among which duplicates are looked for, in two hundred megabytes
SAMPLE = 20 * 10**6  # bytes of the training split that `bpe` is learned from: more hardly change it, and take minutes
NANOGPT = {"val": 0.05, "test": 0.05}  # its validation split, the last 10 %, in two halves
ROWS_AT_ONCE = 64
PROMPTS = ("prompt", "text")  # keys of a prompt in JSON lines


class Corpus(LanguageData):
    """Running text, as windows of tokens in which documents lie end to end.

    A batch is Packed. Each document is `[begin] tokens… end`, and every token of it but the first is predicted once in
    an epoch, from those before it in its document and in its window. Tokens are computed once; of a large corpus they
    are kept in a file, and neither texts nor tokens in memory. The input of a prediction are texts to be continued.

    Your own data are a file, or a folder of files and folders, of texts (.txt, .md) and tables with a text in each row
    (.jsonl, .json, .parquet), each also .gz or .zst, in any mix. Names of files or folders state splits; without them
    documents are split at random, or if there are too few, the end of the text is held out.

    Args:
        dataset: a known data set, or the path of a file or folder. Of `tinyshakespeare`, nanoGPT's validation split is
            cut in two: its first half is for validation, its second for testing.
        num_texts: number of texts in `exercises`.
        document: what a document is: `file`, the text of a file or of a row; `line`, a line of it; `paragraph`, what
            blank lines part; `auto`, as `file`, but that lines `<|endoftext|>` part a file.
        text: key or column of a row's text, which may be a list of lines; several, separated by commas, are joined by
            line breaks.
        kwargs: as for LanguageData and DataModule.
    """

    embedded: ClassVar[tuple[str, ...]] = ("exercises",)
    of_embedded: ClassVar[tuple[str, ...]] = ("num_texts",)
    of_own: ClassVar[tuple[str, ...]] = ("document", "text", "encoding")
    published: ClassVar[Remotes] = CORPORA
    hashed: ClassVar[str] = "documents"
    typed: ClassVar[tuple[str, str]] = ".txt", ".jsonl"
    windows: Windows

    def __init__(
        self,
        dataset: str = "exercises",
        num_texts: int = 24_000,
        document: Document = "auto",
        text: str = "text",
        window: int = 256,
        **kwargs: Any,
    ) -> None:
        super().__init__(dataset=dataset, window=window, **kwargs)
        check_minimum("num_texts", num_texts, 100)
        if document not in get_args(Document):
            raise ValueError(f"--data.document {document}: expected one of {', '.join(get_args(Document))}")
        self.num_texts = num_texts
        self.document = document
        self.keys = [key.strip() for key in text.split(",") if key.strip()]
        if not self.keys:
            raise ValueError("--data.text: expected the key of a row's text, got nothing")
        self.texts: Texts
        self.index: DocumentIndex
        self.cuts: Cuts = ()
        self.digests: dict[str, str] = {}
        self.size = 0  # bytes of all documents
        self.form = ""  # how large they are, in words

    def without_effect(self) -> dict[str, str]:
        """The options that change nothing about this data, and why."""
        found = super().without_effect()
        if self.cuts:
            found["split_seed"] = "what is held out is the end of the text"
        return found

    def prepare_data(self) -> None:
        """Download what is missing."""
        if self.is_published:
            self._published_file()

    def _published_file(self) -> Path:
        (remote,) = self.published[self.dataset]
        return self.folder_of([remote.name], name="corpora") / remote.name

    def read(self) -> Source:
        """Find the documents: how many there are, and how large each is."""
        self.cuts = ()
        if self.is_embedded:
            texts, splits = generated_exercises(self.num_texts, seed=0)
            self.texts, self.index = (listed := ListedTexts(texts, self.dataset)), indexed(listed)
            return Source(len(texts), official={split: torch.tensor(rows) for split, rows in splits.items()})
        files = corpus_files(self._published_file() if self.is_published else self.path, self.note)
        self.texts = FileTexts(files, self.document, self.keys, "utf-8" if self.is_published else self.encoding)
        self.index = indexed(self.texts)
        size, blank = len(self.index.num_bytes), self.index.blank
        if not size:
            raise DataError(f"{self.dataset}: there is no text in it")
        if blank:
            self.note(f"{self.dataset}: left out {blank:,} of {size + blank:,} documents, which have no text")
        of_files = iter(self.index.of_sources.tolist())
        sizes = {split: sum(islice(of_files, len(part))) for split, part in files.items()}
        return Source(size, official=split_indices(sizes))

    def split(self, source: Source) -> Splits:
        """The official splits; those that are missing are documents drawn at random, or the end of too few of them."""
        if not self.is_published:
            splits = super().split(source)
            if all(map(len, splits)):
                return splits
            if self.num_folds is not None:
                raise DataError(
                    f"--data.num_folds {self.num_folds}: {self.dataset} has only {source.size} documents; "
                    f"--data.document line, or paragraph, parts them"
                )
            return self._end_held_out(source, {"val": self.val_fraction, "test": self.test_fraction})
        splits = self._end_held_out(source, NANOGPT)
        self.causes = {"train": "as nanoGPT", "val": "as the first half of nanoGPT's", "test": "as its second half"}
        return splits

    def _end_held_out(self, source: Source, fractions: dict[str, float]) -> Splits:
        """The training documents one after the other, and the end of them as the splits that are missing.

        Args:
            source: in whose official splits the training documents come first.
            fractions: of the training text, of each split.
        """
        known = {split: index for split, index in source.official.items() if split != "train"}
        count = source.size - sum(map(len, known.values()))  # of training documents
        edges = np.concatenate([[0], self.index.num_bytes[:count].cumsum()])
        missing = [split for split in fractions if split not in known]
        cuts: list[tuple[int, int]] = []
        firsts, part = [0], 1 - sum(fractions[split] for split in missing)
        for split in missing:
            place = int(edges[-1] * part + 1e-6)  # bytes before it
            document = int(np.searchsorted(edges, place, "right")) - 1
            inside = place - int(edges[document])
            firsts.append(document + len(cuts) + (inside > 0))
            cuts += [(document, inside)] * (inside > 0)
            part += fractions[split]
        self.cuts = tuple(cuts)
        self.index = indexed(self.texts, self.cuts)
        found = {split: index + len(cuts) for split, index in known.items()}
        for split, first, end in zip(("train", *missing), firsts, (*firsts[1:], count + len(cuts)), strict=True):
            found[split] = torch.arange(first, end)
            if not int(self.index.num_bytes[first:end].sum()):
                raise DataError(f"{self.dataset}: has {edges[-1]} bytes of text, too few to hold some of them out")
            if split in missing:
                self.causes[split] = f"the end of the text, {fractions[split]:.0%} of it"
        self.causes["train"] = "the text before" if "train" not in source.official else "as given, but for its end"
        return Splits(**found)

    def example_hashes(self) -> Iterator[Any] | None:
        """Hashes of the documents; None if there are too many."""
        if len(self.index.hashes) <= MAX_COMPARED:
            return iter(self.index.hashes)
        self.note(f"{self.dataset}: duplicates are not looked for among {len(self.index.hashes):,} documents")
        return None

    def fit(self, train: Tensor) -> None:
        """Find the vocabulary: of the training documents, or a sample of these."""
        key = [*self._key, hash_numbers(train), str(SAMPLE)] if self.texts.is_large else None
        self.find_vocabulary(Repeatable(lambda: self._training_texts(train.numpy()), key))

    @property
    def _key(self) -> list[str]:
        """What the documents depend on."""
        return [*self.texts.key, str(self.cuts)]

    def _training_texts(self, train: Any) -> Iterator[str]:
        """Pieces of training documents; for `bpe` those of a sample, which are spread evenly."""
        total = int(self.index.num_bytes[train].sum())
        part = min(SAMPLE / max(total, 1), 1.0) if self.tokenizer == "bpe" else 1.0
        is_training = np.zeros(len(self.index.num_bytes), bool)
        is_training[train] = True
        document = seen = taken = 0
        for text, ends in pieces(self.texts, self.cuts):
            if is_training[document]:
                size = len(text)
                if taken <= seen * part:
                    taken += size
                    yield text
                seen += size
            document += ends

    def arranged(self, splits: Splits) -> Splits:
        """Tokenize all documents, and lay windows over those of each split."""
        encoder = DocumentEncoder(self.vocabulary)
        total = int(self.index.num_bytes.sum())

        def encode(skipped: int) -> Any:
            return encoder.encoded(pieces(self.texts, self.cuts), skipped)

        if self.texts.is_large:
            key = ["tokens", *self._key, *map(str, self.vocabulary[:3]), tokenizers.__version__]
            stream = stored_stream(encode, encoder.type, key, total)
        else:
            stream = stream_in_memory(encode)
        self.digests = {"texts": hash_numbers(self.index.hashes, self.index.num_bytes)} | {
            f"{split} documents": hash_numbers(index) for split, index in splits._asdict().items()
        }
        self.windows = Windows(
            stream, splits, self.window, encoder.bytes_of, self.end, has_begin=self.begin is not None
        )
        self.size = total
        self.form = sizes_fact(torch.from_numpy(self.index.num_bytes), "bytes")
        self.index = self.index._replace(hashes=np.zeros(0, np.uint64), num_bytes=np.zeros(0, np.int64))  # of all
        if self.windows.width < self.window:
            self.note(
                f"{self.dataset}: its largest split has {self.windows.width + 1:,} tokens, so that windows have "
                f"{self.windows.width:,}, not --data.window {self.window}"
            )
        return self.windows.splits

    def _shrink_batch(self, least: int) -> None:
        super()._shrink_batch(min(least, self.size_of("train")))  # a text of a few windows has as few examples

    def contents(self) -> dict[str, str]:
        """Hashes of the texts, and of which documents are in each split."""
        return self.digests

    def examples(self, index: Tensor) -> WindowExamples:
        """The windows at these indices."""
        return WindowExamples(self.windows, index)

    def facts(self) -> list[tuple[str, str]]:
        """What the documents are, the vocabulary, and how many tokens there are."""
        tokens, documents = int(self.windows.bounds[-1]), len(self.windows.order)
        whole = {"line": "lines", "paragraph": "paragraphs"}.get(self.document, self._whole())
        part = self.size / max(tokens, 1)
        return [
            ("documents", f"{documents:,} {whole} of {self.form}"),
            ("tokens", f"{tokens:,}, of {self.num_tokens:,} different ones; {part:.2f} bytes each"),
            ("windows", f"of {self.windows.width:,} tokens"),
        ]

    def _whole(self) -> str:
        """What documents are that are not parts of texts."""
        if self.cuts:
            return "parts of the text"
        if isinstance(self.texts, ListedTexts):
            return "texts"
        kinds = {unpacked_name(Path(name)).suffix in TEXTS for name in self.texts.sources}
        return " and ".join(["files"] * (True in kinds) + ["rows"] * (False in kinds))

    def shown(self, row: int) -> tuple[str, str]:
        """The first half of a window, and the second."""
        ids = self._tokens(torch.tensor([row]))[0]
        first, second = self.built_tokenizer.decode_batch([ids[: len(ids) // 2], ids[len(ids) // 2 :]], False)
        return first, second

    def inputs_shown(self, rows: Tensor) -> list[str]:
        """The text of each window, special tokens visible."""
        return list(self.built_tokenizer.decode_batch(self._tokens(rows), False))

    def _tokens(self, rows: Tensor) -> list[list[int]]:
        """The tokens of each window, without padding."""
        batch = self.windows.batch(rows)
        last = batch.targets.ne(IGNORED).long().cumsum(1).argmax(1)  # whose target is the last one
        found = zip(batch.ids.tolist(), batch.targets.tolist(), last.tolist(), strict=True)
        return [[*ids[: end + 1], targets[end]] for ids, targets, end in found]

    def origin(self, row: int) -> str:
        """The file of a window's first document, the document's number in it, and how many tokens are before."""
        document, before = self.windows.place(row)
        document -= sum(cut[0] + number < document for number, cut in enumerate(self.cuts))  # as in its file
        edges = np.concatenate([[0], self.index.of_sources.cumsum()])
        source = int(np.searchsorted(edges, document, "right")) - 1
        place = f", document {document - edges[source] + 1}" if self.index.of_sources[source] > 1 else ""
        return f"{self.texts.sources[source]}{place}" + (f", after {before:,} tokens" if before else "")

    def as_vectors(self, rows: Tensor) -> Compared:
        """The windows by their words."""
        return Compared(text_vectors(self.inputs_shown(rows)), ALIKE_TEXTS)

    def baselines(self) -> dict[str, Baseline]:
        """An n-gram model of bytes, and usual compressors."""
        table = ByteTable(bytes_of_tokens(self.built_tokenizer), self.begin, self.end)
        size = self.size / max(int(self.windows.first_rows[-1]), 1)  # bytes of a window
        return {
            "ngram": ByteNGram(table, size),
            "bz2": Compression("bz2", table, self._test_rows, size),
            "xz": Compression("xz", table, self._test_rows, size),
        }

    def _test_rows(self) -> Iterator[Packed]:
        """The windows of the test split, some at a time."""
        return (self.windows.batch(rows) for rows in self.splits.test.split(ROWS_AT_ONCE))

    def typed_example(self, text: str) -> str:
        """A prompt as JSON, in which line breaks are kept."""
        return json.dumps({PROMPTS[0]: text})

    def read_input(self, path: Path) -> tuple[TextExamples, list[str]]:
        """Texts to be continued, which are their own names: the lines of a text file, or those of JSON lines.

        A batch is Text: each prompt after the token before a document, padded behind its end.
        """
        if path.is_dir():
            raise DataError(f"--input {path}: a folder; expected a text file with a prompt a line, or JSON lines")
        prompts = list(self._prompts(regular(path)))
        encoder = DocumentEncoder(self.vocabulary)
        ids = [prompt_tokens(encoder.ids(prompt), self.begin, self.end) for prompt in prompts]
        longest = max(map(len, ids), default=0)
        if longest >= self.window:
            self.note(f"{path}: a prompt has {longest:,} tokens, and the model was trained on {self.window:,}")
        return TextExamples(Ragged(ids), self.end), prompts

    def _prompts(self, path: Path) -> Iterator[str]:
        lines = lines_of(path, self.encoding)
        if unpacked_name(path).suffix not in ROWS:
            yield from (line.rstrip("\r\n") for line in lines if line.strip())
            return
        for number, _, value in json_lines(lines, path):
            keys = [key for key in (*PROMPTS, *self.keys) if isinstance(value, dict) and key in value]
            text = value[keys[0]] if keys else value
            if not isinstance(text, str):
                found = listed([*value], 8) if isinstance(value, dict) else json.dumps(value, ensure_ascii=False)[:40]
                raise DataError(f'{path}:{number}: expected {{"{PROMPTS[0]}": "…"}}, found {found}')
            yield text
