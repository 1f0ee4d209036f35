"""Trained detectors on the Hugging Face Hub, or in folders of its form.

``Detector.from_run("runs/resnet26-seed7").save_pretrained("my-detector")`` writes a folder, and
``Detector.from_pretrained("my-detector")`` loads it.
"""

from sfic_bench.hub.detector import Detector

__all__ = ["Detector"]
