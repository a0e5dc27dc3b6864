"""Odd photos → lines for the log, and a file: unreadable, damaged, copied, with a wrong label."""

import contextlib
from collections.abc import Iterator, Sequence

from absl import logging

from image_retraining.evaluation.copies import DuplicateGroup, Duplicates
from image_retraining.evaluation.wrong_labels import LabelIssue
from image_retraining.foundation.files import replacing
from image_retraining.foundation.records import Doubtful, Split, Unreadable
from image_retraining.foundation.sheets import new_sheet
from image_retraining.foundation.text import shown

_LISTED_GROUPS = 20
_LISTED_PHOTOS = 10
_LISTED_ISSUES = 10
# Photos that something is wrong with, and that warnings name.
_WARNED_OF = 5


def left_out_lines(unreadable: Sequence[Unreadable], photo_count: int) -> list[str]:
    """Returns lines that name the photos that could not be read; none where all could."""
    if not unreadable:
        return []
    count = len(unreadable)
    was = "was" if count == 1 else "were"
    return [
        f"WARNING: {count} of {photo_count} photos could not be read and {was} left out:",
        *(f"  {shown(photo.path)}: {photo.reason}" for photo in unreadable),
    ]


def warn_of_photos(lines: Sequence[str]) -> None:
    """Logs what is wrong with photos: a line that says it, then a line a photo.

    The first ones are warnings, so that they do not push all else off a screen.
    """
    for line in lines[: 1 + _WARNED_OF]:
        logging.warning("%s", line)
    rest = lines[1 + _WARNED_OF :]
    if rest:
        logging.warning("  and %d more, which run.log names:", len(rest))
    for line in rest:
        logging.info("%s", line)


def doubtful_lines(doubtful: Sequence[Doubtful], photo_count: int) -> list[str]:
    """Returns lines that name the photos that were read though they are damaged."""
    if not doubtful:
        return []
    count = len(doubtful)
    be, it = ("is", "it") if count == 1 else ("are", "them")
    return [
        f"WARNING: {count} of {photo_count} photos {be} damaged, but used; look at {it}:",
        *(f"  {shown(photo.path)}: {photo.damage}" for photo in doubtful),
    ]


def copies_lines(duplicates: Duplicates, labels: Sequence[str], *, dropped: bool) -> list[str]:
    """Returns lines for the log; none when nothing was found.

    Args:
        duplicates: what was found.
        labels: the class names.
        dropped: whether the copies are being left out.
    """
    groups = duplicates.groups
    if not groups:
        return []
    lines = _summary(duplicates)
    for group in groups[:_LISTED_GROUPS]:
        lines += _group_lines(group, labels)
    if len(groups) > _LISTED_GROUPS:
        lines.append(f"  ... and {len(groups) - _LISTED_GROUPS} more groups")
    left_out = f"{duplicates.copy_count} {'is' if duplicates.copy_count == 1 else 'are'} left out."
    if any(group.stay_count > 1 for group in groups):
        stays = "of each group all stay that are near no other that stays"
    else:
        stays = "one photo of each group stays" if dropped else "one photo of each stays"
    stays = stays[0].upper() + stays[1:] if dropped else f"With --drop_duplicates {stays}"
    lines.append(f"{stays}; {left_out}")
    return lines


def misleading_lines(duplicates: Duplicates) -> list[str]:
    """Returns those of the lines about copies that say what is wrong with figures, or labels."""
    groups, lines = duplicates.groups, []
    leaking = [group for group in groups if group.leaks]
    if leaking:
        test_count = sum(r.split is Split.TESTING for group in leaking for r in group.records)
        lines.append(
            f"Groups in training and in testing: {len(leaking)}, with {test_count} of the "
            "test photos. The test accuracy looks better than it is."
        )
    contradictory_count = sum(group.contradictory for group in groups)
    if contradictory_count:
        lines.append(f"Groups with labels that contradict each other: {contradictory_count}.")
    return lines


def wrong_labels_lines(
    issues: Sequence[LabelIssue], labels: Sequence[str], *, photo_count: int
) -> list[str]:
    """Returns lines for the log: how many there are, and the worst.

    Args:
        issues: the least probable first.
        labels: the class names.
        photo_count: of all photos that were judged.
    """
    lines = [f"{len(issues)} of {photo_count} photos have a label that looks wrong."]
    lines += [
        f"  {shown(issue.path)}: {shown(labels[issue.label_id])}, rather "
        f"{shown(labels[issue.likely_id])} "
        f"(its label's score is {issue.score:.3f})"
        for issue in issues[:_LISTED_ISSUES]
    ]
    if len(issues) > _LISTED_ISSUES:
        lines.append(f"  ... and {len(issues) - _LISTED_ISSUES} more")
    return lines


@contextlib.contextmanager
def writing_wrong_labels(
    path: str, issues: Sequence[LabelIssue], labels: Sequence[str]
) -> Iterator[None]:
    """Writes a CSV file: path, given_label, likely_label and score, the least probable first.

    It takes its place on leaving.
    """
    with replacing(path) as temporary:
        with new_sheet(temporary) as writer:
            writer.write(["path", "given_label", "likely_label", "score"])
            for issue in issues:
                given, likely = labels[issue.label_id], labels[issue.likely_id]
                writer.write([issue.path, given, likely, f"{issue.score:.6f}"])
        yield


def _summary(duplicates: Duplicates) -> list[str]:
    groups = duplicates.groups
    photo_count = sum(len(group.records) for group in groups)
    equal_count = sum(group.equal_bytes for group in groups)
    text = (
        f"Groups of copies: {len(groups)}, of {photo_count} photos. Equal in every byte: "
        f"{equal_count}; the others nearly so (cosine of feature vectors >= {duplicates.cosine:g})."
    )
    return [text, *misleading_lines(duplicates)]


def _group_lines(group: DuplicateGroup, labels: Sequence[str]) -> list[str]:
    kind = "Equal in every byte" if group.equal_bytes else "Nearly equal"
    warning = ", with labels that contradict each other" if group.contradictory else ""
    lines = [f"  {kind}{warning}:"]
    lines += [
        f"    {record.split.value:10}  {shown(labels[record.label_id])}  {shown(record.path)}"
        for record in group.records[:_LISTED_PHOTOS]
    ]
    if len(group.records) > _LISTED_PHOTOS:
        lines.append(f"    ... and {len(group.records) - _LISTED_PHOTOS} more photos")
    return lines
