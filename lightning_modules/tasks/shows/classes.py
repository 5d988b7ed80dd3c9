"""What a classifier shows: images with its predictions, and what a test has found."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_modules.tasks import boards
from lightning_modules.tasks.confusion_matrix import confusion_table
from lightning_modules.tasks.inspection.features import head_inputs, principal_components
from lightning_modules.tasks.inspection.filters import first_filters
from lightning_modules.tasks.inspection.grad_cam import grad_cam, last_feature_map, overlaid
from lightning_modules.tasks.multilabel import label_counts, scores_table, worst_labels
from lightning_modules.tasks.pictures.confusion import confusion_picture, label_bars
from lightning_modules.tasks.pictures.curves import curves_picture
from lightning_modules.tasks.pictures.figure import GREEN, RED
from lightning_modules.tasks.pictures.images import captioned, tail
from lightning_modules.tasks.pictures.points import scatter
from lightning_modules.tasks.results.outcomes import Outcomes
from lightning_modules.tasks.scores import precision_recall_f1
from lightning_modules.tasks.task import Board

if TYPE_CHECKING:
    from lightning_modules.tasks.classifier import Classifier

MAX_TABLE_CLASSES = 50  # of a confusion matrix as a table
NUM_POINTS = 400  # test examples in the projector: reading them again takes a part of the test's time
NUM_COMPONENTS = 32
DIGITS = 4  # of a coordinate
THUMBNAIL = 24  # pixels
NUM_LOOKED_AT = 8  # wrong predictions, and right ones, whose Grad-CAM is shown


def images_of(batch: Any, board: Board) -> Tensor | None:
    """The images of a batch, (B, C, H, W) from 0 to 1, in their own colours; None where its inputs are none."""
    inputs = batch[0]
    if not isinstance(inputs, Tensor) or inputs.dim() != 4:
        return None
    images = board.pixels(batch)
    return boards.scaled(inputs) if images is None else images.cpu()


def show_images(model: "Classifier", batch: Any, board: Board) -> None:
    """The images of a batch whose predictions are worst, and their reconstructions if the model makes some."""
    images = images_of(batch, board)
    if images is None:
        return
    inputs, target = batch
    worst = worst_labels if model.multilabel else boards.worst
    order, captions, correct = worst(model.logits_of(model(inputs)), target, model.class_names, 2 * boards.COLUMNS)
    names = [board.names[index] for index in order.tolist()] if board.names else [""] * len(order)
    title = "true class, → predicted class and its probability, where it is from; the worst predictions first"
    board.figure(
        "worst mistakes",
        captioned(
            images[order],
            [f"{caption}\n{tail(name)}".rstrip() for caption, name in zip(captions, names, strict=True)],
            colours=[GREEN if right else RED for right in correct],
            title=title.replace("class", "labels").replace(" and its probability", "") if model.multilabel else title,
        ),
    )
    shown = order[: boards.COLUMNS]
    remade = model.reconstructed(inputs[shown.to(inputs.device)])
    if remade is not None:
        pixels = board.pixels((remade, target[shown.to(target.device)]))
        remade = boards.scaled(remade) if pixels is None else pixels.cpu()
        bottom, right = remade.shape[2] - images.shape[2], remade.shape[3] - images.shape[3]
        originals = F.pad(images[shown], (0, right, 0, bottom))
        blank = [""] * len(shown)
        figure = captioned(
            torch.cat([originals, remade]),
            [*blank, *captions[: len(shown)]],
            columns=len(shown),
            row_labels=["image", "reconstruction"],
        )
        board.figure("reconstructions", figure)


def show_test(model: "Classifier", board: Board, outcomes: Outcomes | None) -> None:
    """Which classes are confused, curves, features, and what the network sees of images."""
    confusion = model.tables["confusion"]
    if model.multilabel:
        board.text("scores of the classes", scores_table(confusion, model.class_names))
        correct, predicted, true = label_counts(confusion)
        scores = precision_recall_f1(correct, predicted, true)
        board.figure("scores of the labels", label_bars(scores, true, model.class_names))
    else:
        if model.num_classes <= MAX_TABLE_CLASSES:
            board.text("confusion", confusion_table(confusion, model.class_names))
        board.figure("confusion matrix", confusion_picture(confusion, model.class_names))
    if outcomes is None:
        return
    show_curves(model, board, outcomes)
    if outcomes.data is not None:
        show_features(model, board, outcomes)
        show_attribution(model, board, outcomes)
    filters = first_filters(model)
    if filters is not None:
        board.image("first-layer filters", boards.grid(filters, stretch=False))


def show_curves(model: "Classifier", board: Board, outcomes: Outcomes) -> None:
    """Precision over recall, ROC and reliability."""
    if "probabilities" not in outcomes:  # of too many classes
        return
    results = model.results()
    figure = curves_picture(*results.one_vs_rest(outcomes), *results.decisions(outcomes), model.class_names)
    if figure is not None:
        board.figure("curves", figure)


def show_features(model: "Classifier", board: Board, outcomes: Outcomes) -> None:
    """What the head is given of a part of the test split, as points in the projector and in a picture."""
    assert outcomes.data is not None
    size = len(outcomes)
    chosen = outcomes.take(torch.linspace(0, size - 1, min(size, NUM_POINTS)).round().long())
    whole = outcomes.data.full_batch  # is read by each batch, whatever its size
    at_once = None if whole else outcomes.data.batch_size_of(training=False)
    features, thumbnails = [], []
    for rows in torch.arange(len(chosen)).split(at_once or len(chosen)):
        batch = chosen.take(rows).batch(model.device)
        found = head_inputs(model, batch[0], model.head_names)
        if found is None or len(found) != len(rows):
            return
        features.append(found.flatten(1).float().cpu())
        images = images_of(batch, board)
        thumbnails += [] if images is None else [thumbnail(images)]
    vectors = torch.cat(features)
    if len(vectors) < 3 or not vectors.isfinite().all():
        return
    points, fractions = principal_components(vectors, NUM_COMPONENTS)
    columns = model.results().rows(chosen)
    groups = [" ".join(name.split()) or "none" for name in columns["target"]]
    rounded = [[float(f"{value:.{DIGITS}g}") for value in row] for row in points.tolist()]  # for a small file
    vectors = torch.tensor(rounded, dtype=torch.double)
    board.embedding("features", vectors, groups, torch.cat(thumbnails) if thumbnails else None)
    if points.shape[1] > 1:
        title = f"features of {len(chosen)} of {size} test examples, by their true class"
        axes = [f"principal component {index + 1} ({100 * float(fractions[index]):.0f} %)" for index in range(2)]
        board.figure("features", scatter(points[:, :2], groups, torch.tensor(columns["correct"]).bool(), title, axes))


def thumbnail(images: Tensor) -> Tensor:
    """Small squares of images, (B, C, H, W), padded with grey."""
    side = max(images.shape[2:])
    squares = F.pad(images, (0, side - images.shape[3], 0, side - images.shape[2]), value=0.5)
    return squares if side <= THUMBNAIL else F.interpolate(squares, (THUMBNAIL, THUMBNAIL), mode="area")


def show_attribution(model: "Classifier", board: Board, outcomes: Outcomes) -> None:
    """Where the network looks, by Grad-CAM, in the worst mistakes and in some that it gets right."""
    correct = torch.tensor(model.results().rows(outcomes)["correct"]).bool()
    order = outcomes.worst()
    wrong, right = order[~correct[order]][:NUM_LOOKED_AT], correct.nonzero()[:, 0]
    spread = right[torch.linspace(0, len(right) - 1, min(len(right), NUM_LOOKED_AT)).round().long()]
    chosen = outcomes.take(torch.cat([wrong, spread]))
    batch = chosen.batch(model.device)
    images = images_of(batch, board)
    module = None if images is None else last_feature_map(model, batch[0], model.head_names)
    if images is None or module is None:
        return

    classes = model.logits_of(model(batch[0])).argmax(1, keepdim=True)  # of several labels the most probable one

    def score() -> Tensor:
        output = model(batch[0])
        if output.shape[1] == 1 and model.num_classes == 2:  # the logit of the second class alone
            output = torch.cat([-output, output], dim=1)
        return output.gather(1, classes)[:, 0]

    maps = grad_cam(module, score)
    seen = [model.class_names[index] for index in classes[:, 0].tolist()]
    targets = model.results().rows(chosen)["target"]
    captions = [
        f"{target}\n→ {name}\n{tail(source)}"
        for target, name, source in zip(targets, seen, chosen.names(), strict=True)
    ]
    board.figure(
        "where it looks (Grad-CAM)",
        captioned(
            overlaid(images, maps),
            captions,
            colours=[RED] * len(wrong) + [GREEN] * len(spread),
            title="red: what speaks for the predicted class (→); the worst mistakes first, then right predictions",
        ),
    )
