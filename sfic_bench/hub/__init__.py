"""Trained detectors on the Hugging Face Hub, or in folders of its form.

>>> detector = Detector.from_run("runs/resnet26-seed7")
>>> detector.save_pretrained("my-detector")
>>> same = Detector.from_pretrained("my-detector")
"""

from sfic_bench.hub.detector import Detector

__all__ = ["Detector"]
