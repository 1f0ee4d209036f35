"""Trained detectors on the Hugging Face Hub, or in folders of its form.

``HubDetector.from_run("runs/resnet26-seed7").save_pretrained("my-detector")`` writes a folder, and
``HubDetector.from_pretrained("my-detector")`` loads it.
"""

from sfic_bench.hub.detector import HubDetector

__all__ = ["HubDetector"]
