"""Fine-tuning → lines for people."""

from image_retraining.evaluation.intervals import of_accuracy
from image_retraining.reports.metrics_tables import interval, percent
from image_retraining.reports.tuning_findings import Tuned
from image_retraining.tuning.fitted import Epoch


def epoch_line(epoch: Epoch) -> str:
    """Returns how an epoch did; epoch 0 is the head alone."""
    rank = epoch.rank
    loss = f"training loss = {epoch.training_loss:f}, " if epoch.number else ""
    return (
        f"Fine-tuning, epoch {epoch.number}: {loss}validation accuracy = {percent(rank.accuracy)}, "
        f"cross entropy at its temperature = {rank.cross_entropy:f}"
    )


def tuned_lines(found: Tuned) -> list[str]:
    """Returns whether it got better, and how the head alone did on the test photos."""
    alone, count = found.epochs[0].rank, found.validation_count
    ends = interval(of_accuracy(alone.accuracy, count))
    by_itself = f"the head alone {percent(alone.accuracy)} (95% interval {ends}; N={count})"
    if found.is_better:
        kept = found.kept
        ends = interval(of_accuracy(kept.rank.accuracy, count))
        line = (
            f"Fine-tuned: validation accuracy {percent(kept.rank.accuracy)} (95% interval {ends}) "
            f"after epoch {kept.number}, {by_itself}; the tuned network is exported"
        )
    else:
        tried = len(found.epochs) - 1
        line = f"Not fine-tuned: none of {tried} epochs validates better than {by_itself}"
        line += ", which is exported"
    lines, metrics = [line], found.alone
    if metrics is not None:
        ends = interval(metrics.accuracy_interval)
        tested = f"test accuracy = {percent(metrics.accuracy)} (N={metrics.count})"
        lines.append(f"The head alone: {tested}, 95% interval {ends}")
    if found.is_better:
        lines.append(
            "Copies, wrong labels, cross-validation, learning curve and advice are by the module "
            "as it was before that"
        )
    return lines
