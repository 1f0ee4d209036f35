"""The metrics of each epoch as event files, which TensorBoard shows."""

from pathlib import Path

from sfic_bench.results.scores import EpochRow


def write_events(folder: Path, epoch: EpochRow) -> None:
    """Write the metrics of an epoch, except those that are ``None``; later epochs in ``folder`` are discarded.

    Nothing is written if TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    values = {
        "loss": epoch.loss,
        "images_per_s": epoch.images_per_s,
        "loader_images_per_s": epoch.loader_images_per_s,
        **{f"val/{name}": value for name, value in epoch.val.items()},
    }
    writer = SummaryWriter(str(folder), purge_step=epoch.epoch)
    for name, value in values.items():
        if value is not None:
            writer.add_scalar(name, value, epoch.epoch)
    writer.close()
