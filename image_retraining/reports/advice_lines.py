"""Advice → lines for the log: what was measured, then what to do."""

from collections.abc import Callable, Sequence
from typing import Any

from image_retraining.evaluation.advice import (
    Advice,
    Confused,
    CopiesFound,
    FewPhotos,
    MorePhotos,
    SuspiciousLabels,
    UnlikeModule,
)
from image_retraining.foundation.text import shown
from image_retraining.photos.enumeration import some_of
from image_retraining.reports.curve_lines import gain
from image_retraining.reports.metrics_tables import interval


def advice_lines(advice: Sequence[Advice], labels: Sequence[str]) -> list[str]:
    """Returns lines; none without advice."""
    found = sentences(advice, labels)
    return ["Advice, from what was measured:", *(f"  - {one}" for one in found)] if found else []


def sentences(advice: Sequence[Advice], labels: Sequence[str]) -> list[str]:
    """Returns what was measured and what to do, a sentence or two each."""
    few = [one for one in advice if isinstance(one, FewPhotos)]
    found = [_few_photos(few, labels)] if few else []
    for one in advice:
        words = _WORDS.get(type(one))
        if words is not None:
            found.append(words(one, labels))
    return found


def _few_photos(few: Sequence[FewPhotos], labels: Sequence[str]) -> str:
    named = []
    for one in few:
        known = one.recall_interval
        recall = f", recall {interval(known)}" if known else ", none of them judged"
        named.append(f"{shown(labels[one.label_id])} ({one.photo_count}{recall})")
    alone = len(few) == 1
    noun, them, these = ("class has", "it", "it") if alone else ("classes have", "them", "these")
    return (
        f"{len(few)} {noun} fewer than 20 photos, so that what is learnt and measured of {them} is "
        f"largely chance: {some_of(named)}. Add photos of {these} first."
    )


def _copies(found: CopiesFound, _: Sequence[str]) -> str:
    be = "is a copy of another" if found.copy_count == 1 else "are copies of others"
    text = f"{found.copy_count} of the photos {be}"
    if found.leaked_count:
        are = "is" if found.leaked_count == 1 else "are"
        text += f", and {found.leaked_count} of {found.test_count} test photos {are} learnt from"
    return f"{text}. --drop_duplicates leaves out all but one of each."


def _suspicious_labels(found: SuspiciousLabels, labels: Sequence[str]) -> str:
    path, label_id, likely_id = found.worst
    example = f"{shown(path)} ({shown(labels[label_id])}, rather {shown(labels[likely_id])})"
    if found.issue_count is not None:
        noun = "label looks" if found.issue_count == 1 else "labels look"
        return f"{found.issue_count} {noun} wrong. Look at them, first at {example}."
    noun = "photo" if found.sure_count == 1 else "photos"
    return (
        f"Heads that have not met them are 95% sure that {found.sure_count} {noun} should have "
        f"another label, first of all {example}. --label_issues_file lists labels to look at."
    )


def _confused(found: Confused, labels: Sequence[str]) -> str:
    one, other = (shown(labels[label_id]) for label_id in found.label_ids)
    return (
        f"{one} and {other} are confused: {found.taken[0]} of {found.judged[0]} {one} were taken "
        f"for {other}, {found.taken[1]} of {found.judged[1]} {other} for {one}. Add photos that "
        "show the difference, or make them one class if it does not matter."
    )


def _more_photos(found: MorePhotos, _: Sequence[str]) -> str:
    outlook = found.outlook
    words = {
        True: "More photos would help",
        False: "More photos of the same kind would hardly help",
        None: "More photos may help",
    }
    return (
        f"{words[found.helps]}: twice as many to learn from, {outlook.photo_count}, may bring "
        f"{outlook.gain * 100:.1f} points of accuracy by the learning curve ({gain(outlook)})."
    )


def _unlike_module(found: UnlikeModule, _: Sequence[str]) -> str:
    return (
        "The photos are unlike what the module knows: the labels of photos that it sees as near "
        f"each other agree to {found.agreement:.2f}, where 0 is chance and 1 is always (5 nearest "
        "of each, copies left out). Try --fine_tune=auto, if that was not given yet, or another "
        "module."
    )


# Those of a class are told together.
_WORDS: dict[type, Callable[[Any, Sequence[str]], str]] = {
    CopiesFound: _copies,
    SuspiciousLabels: _suspicious_labels,
    Confused: _confused,
    MorePhotos: _more_photos,
    UnlikeModule: _unlike_module,
}
