"""Printed accuracies that a reader should doubt, and what is known of all of them."""

from collections.abc import Iterator

from sfic_bench.paper.scores import best, columns, printed
from sfic_bench.results.claims import SuspiciousRow


def suspicious() -> Iterator[SuspiciousRow]:
    """Printed cells that a reader should doubt."""
    scores = printed()
    pairs = {
        cell: (auc.estimate, scores[cell._replace(metric="BACC")].estimate)
        for cell, auc in scores.items()
        if cell.metric == "AUC" and cell._replace(metric="BACC") in scores
    }
    for model, tables in (("Multi-task", ("V", "VI")), ("F3-Net", ("IV",))):
        own = {cell: pair for cell, pair in pairs.items() if cell.model == model and cell.table in tables}
        same = [cell for cell, (auc, bacc) in own.items() if abs(auc - bacc) < 0.015]
        tested = ", ".join(dict.fromkeys(c.test for c in same))
        yield SuspiciousRow(
            place=", ".join(tables),
            what=f"{model} has one figure for AUC and BACC",
            finding=f"{len(same)} of {len(own)} experiments, tested on {tested}: an AUC of hard labels is one",
        )
    for model in ("F3-Net", "M2TR"):
        aucs = [auc for cell, (auc, _) in pairs.items() if cell.model == model and cell.table != "IX"]
        rounded = sum(round(100 * auc) % 10 == 0 for auc in aucs)
        yield SuspiciousRow(
            place="IV to VI",
            what=f"{model}'s AUC has one decimal, as no other network's",
            finding=f"{rounded} of {len(aucs)} cells: they are probably quoted from elsewhere",
        )
    for column in columns(scores):
        top = best(column)
        tied = [cell for cell, score in column.items() if top is not None and score.estimate == top.estimate]
        if len(tied) > 1:
            names = ", ".join(f"{c.model} α={c.alpha:g}" if c.alpha is not None else c.model for c in tied)
            yield SuspiciousRow(
                place=tied[0].table,
                what=f"several networks share the best {tied[0].metric} of {tied[0].train} → {tied[0].test}",
                finding=f"{names}: {column[tied[0]].estimate:.2f}",
            )


KNOWN_OF_PRINTED = (
    "known of every printed accuracy: one seed, without an interval; the released training loop never clears its lists "
    "of scores, so that its AUC pools all epochs; the released training loop picks the best epoch by the set that it "
    "reports"
)
"""What is known of every accuracy that the paper prints for its own networks, as a note of a table."""
