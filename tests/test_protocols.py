"""The embedded data and the paper's protocols on them."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from sfic_bench.data.manifest import Manifest
from sfic_bench.data.orl import load_orl, orl
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.training.protocols import experiments


def test_the_embedded_data_are_hard_enough() -> None:
    manifest = orl()
    frame = manifest.frame
    assert len(frame) == 2 * (220 * 2 + 180 * 5)
    assert manifest.where(split="train")["label"].mean() == 0.5
    people = {split: {v[:3] for v in rows["video"]} for split, rows in frame.groupby("split")}
    assert not people["train"] & people["test"] and not people["val"] & people["test"]
    some = frame.sample(400, random_state=0)
    images, masks = zip(*(load_orl(path) for path in some["path"]), strict=True)
    assert images[0].shape == (112, 92, 3) and np.array_equal(images[0], load_orl(some["path"].iat[0])[0])
    assert [mask.any() for mask in masks] == list(some["label"] == 1)
    for method, alike in (("real", True), ("tone", False)):
        path = f"orl:s01/01/{method}/hq"
        first, again, other = (load_orl(path, take)[0] for take in (1, 1, 0))
        assert np.array_equal(first, again) and np.array_equal(first, other) == alike
    for feature in (np.mean, np.std):
        auc = sklearn_metrics.roc_auc_score(some["label"], [feature(image) for image in images])
        assert 0.4 < auc < 0.6
    with pytest.raises(InvalidValue, match="got 'orl:s41"):
        load_orl("orl:s41/01/real/hq")


def test_protocols() -> None:
    manifest = orl()
    intra = experiments("intra", [manifest])
    assert [(e.train_on, e.test_on) for e in intra] == [("orl hq", "orl hq"), ("orl lq", "orl lq")]
    out = experiments("leave-one-out", [manifest])
    assert len(out) == 8 and out[0].train_on == "orl hq without filter"
    assert "filter" not in set(out[0].data.train["method"]) and set(out[0].data.test["method"]) == {
        "",
        "filter",
    }
    cross = experiments("cross", [manifest])
    assert [(e.train_on, e.test_on) for e in cross] == [("orl hq", "orl lq"), ("orl lq", "orl hq")]
    (only,) = experiments("intra", [manifest.of_compression("lq")])
    assert only.train_on == "orl lq" and only.data.name == "orl lq"
    with pytest.raises(UnknownName, match="known: hq, lq"):
        manifest.of_compression("hq", "c23")
    assert cross[0].test_manifest is not None and set(cross[0].test_manifest.frame["compression"]) == {"lq"}
    # A data set may have only a test split, as Celeb-DF in the paper.
    frame = manifest.where(compression="lq", split="test").assign(dataset="Celeb-DF v2", compression="")
    celeb = Manifest(frame=frame.assign(path=frame["path"] + "x"), folder=manifest.folder)
    assert len(celeb.of_compression("hq")) == len(celeb)  # it has only one compression
    hq = Manifest(frame=manifest.where(compression="hq"), folder=manifest.folder)
    (only,) = experiments("cross", [hq, celeb])
    assert (only.train_on, only.test_on) == ("orl hq", "CelebDF")
    assert only.test_manifest is not None and len(only.test_manifest) == len(frame)
    with pytest.raises(InvalidValue, match="nothing to do"):
        experiments("cross", [hq])
    with pytest.raises(InvalidValue, match="two manifests have the same data set and compression: orl hq"):
        experiments("intra", [hq, hq])
    with pytest.raises(UnknownName, match="unknown protocol 'inter'; did you mean 'intra'"):
        experiments("inter", [hq])
