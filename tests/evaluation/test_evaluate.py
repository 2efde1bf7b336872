import json
import math
from functools import cache, partial

import numpy as np
import pytest
import torch

from tests.evaluation.pictures import Bars
from unlabel.data.source import Subset
from unlabel.diagnostics import measure, verdict
from unlabel.errors import Fault
from unlabel.evaluation import robustness
from unlabel.evaluation.evaluate import evaluate
from unlabel.evaluation.protocol import Protocol
from unlabel.evaluation.shape import lidar_views
from unlabel.nn.backbones import build, resolve
from unlabel.views import evaluation

VIEW = evaluation(16)


def colour(x):
    """A perfect feature for the class: the mean colour's direction."""
    return torch.nn.functional.normalize(x.mean((2, 3)) + torch.tensor([2.1179, 2.0357, 1.8044]), dim=1)


def run(embed=colour, train=None, test=None, **more):
    train, test = train or Bars(90), test or Bars(45, seed=1)
    options = {"view": VIEW, "untrained": partial(build, resolve("tiny_resnet", 16)), "protocol": Protocol()}
    found = evaluate(embed, train, test, **options | more)
    return json.loads(json.dumps(found, allow_nan=False))


FEW = ("gaussian_noise", "jpeg", "spatter")


@pytest.fixture(autouse=True)
def few_corruptions(monkeypatch):
    """Three will do here; `test_robustness` measures all."""
    monkeypatch.setattr(robustness, "applicable", lambda channels: FEW)


@cache
def _whole():
    return json.dumps(run(everything=True))


def whole():
    """Everything that there is to measure; measured once."""
    return json.loads(_whole())


def test_everything_is_there_beside_its_controls():
    found = run()
    for name in ("knn", "linear"):
        assert list(found[name]) == ["run", "random", "pixels"]
    assert found["knn"]["run"] > 95 and found["linear"]["run"] == {"top1": pytest.approx(100, abs=5), "top5": None}
    assert found["classes"] == ["colour 0", "colour 1", "colour 2"]
    assert found["protocol"]["memory"] == 90 and found["protocol"]["queries"] == 45
    assert found["protocol"]["data"] == "bars" and "16 px" in found["protocol"]["view"]
    assert found["dimensions"] == 3 and len(found["spectrum"]) == 3 and found["images"] == 45
    assert found["spectrum"] == sorted(found["spectrum"], reverse=True)
    assert found["translation"] is None and found["skipped"] == found["non_finite"] == 0
    assert 0 <= found["alignment"] < 1


def test_controls_of_an_earlier_evaluation_are_taken_over_where_the_protocol_is_the_same():
    first = run()
    marked = {**first, "knn": {**first["knn"], "random": 1.5}, "untrained": {**first["untrained"], "std": 0.5}}
    again = run(measured=marked)
    assert again["knn"] == marked["knn"] and again["linear"] == first["linear"] and again["untrained"]["std"] == 0.5
    other = run(measured=marked, protocol=Protocol(queries=30))
    assert other["protocol"]["queries"] == 30 and other["knn"]["random"] != 1.5  # measured after all


def test_mistakes_of_the_probe_are_counted():
    found = run()
    counts = np.array(found["confusion"]["counts"])
    assert found["confusion"]["images"] == counts.sum() == 45 and counts.shape == (3, 3)
    assert counts.sum(axis=1).tolist() == np.bincount(Bars(45, seed=1).labels).tolist()
    assert 100 * np.trace(counts) / 45 == pytest.approx(found["linear"]["run"]["top1"])
    old = {name: value for name, value in found.items() if name != "confusion"}  # of an older version
    del old["untrained"]["alignment"]
    again = run(measured=old)
    assert again["confusion"] == found["confusion"] and again["knn"] == found["knn"]
    assert run(test=Bars(20, labelled=False))["confusion"] is None


def test_the_control_has_an_alignment_too():
    found = run(project=lambda h: h[:, :2])
    assert 0 < found["untrained"]["alignment"] < 4 and found["untrained"]["alignment"] != found["alignment"]
    assert 0 <= found["projection"]["alignment"] < 4


def test_retrieval_is_measured_wherever_there_are_labels():
    found = run()
    assert list(found["retrieval"]) == ["protocol", "run", "chance", "random", "pixels"]
    assert list(found["retrieval"]["run"]) == ["mAP", "mAP@R", "recall@1", "recall@5", "recall@10"]
    assert found["retrieval"]["run"]["mAP"] > 95 and found["retrieval"]["chance"]["recall@1"] == pytest.approx(100 / 3)
    assert found["retrieval"]["random"]["mAP"] > found["retrieval"]["chance"]["mAP"]
    assert found["retrieval"]["protocol"]["candidates"] == 90 and found["retrieval"]["protocol"]["queries"] == 45
    assert found["clustering"] is found["robustness"] is None
    others = Bars(12)
    others.labels[:] = 7
    apart = run(test=others)
    assert apart["retrieval"] is None and apart["knn"]["run"] == 0  # no class on both sides


def test_everything_is_clustering_and_corrupted_images_too():
    found = whole()
    assert found["clustering"]["run"]["accuracy"] > 90 > found["clustering"]["chance"]["accuracy"]
    assert set(found["clustering"]) == {"protocol", "run", "random", "pixels", "chance"}
    assert found["clustering"]["protocol"]["clusters"] == 3 and found["clustering"]["protocol"]["images"] == 45
    for probe in ("linear", "knn"):
        scores = found["robustness"][probe]
        assert list(scores) == ["run", "random", "pixels"]
        for who in scores:
            assert set(scores[who]["corruptions"]) == set(FEW) and 0 <= scores[who]["corrupted"] <= 100
    # As many as may be asked were asked, and shown as they are: the probes of the evaluation itself answer.
    assert found["robustness"]["linear"]["run"]["clean"] == pytest.approx(found["linear"]["run"]["top1"])
    assert found["robustness"]["knn"]["pixels"]["clean"] == pytest.approx(found["knn"]["pixels"])
    for name in ("retrieval", "clustering", "robustness"):
        assert {"version", "weights", "layer", "view"} <= set(found[name]["protocol"])
    rest = {name: value for name, value in found.items() if name not in ("clustering", "robustness")}
    assert rest == {name: value for name, value in run().items() if name in rest}


def test_controls_of_everything_are_taken_over_too():
    first = whole()
    marked = json.loads(json.dumps(first))
    marked["retrieval"]["random"]["mAP"] = marked["clustering"]["pixels"]["NMI"] = 1.5
    marked["robustness"]["linear"]["random"]["corrupted"] = 1.5
    for name in ("retrieval", "clustering"):
        marked[name]["run"] = {}
    marked["robustness"]["knn"]["run"] = {}
    again = run(everything=True, measured=marked)
    assert again["retrieval"]["random"]["mAP"] == again["clustering"]["pixels"]["NMI"] == 1.5
    assert again["robustness"]["linear"]["random"]["corrupted"] == 1.5
    assert again["robustness"]["knn"] == first["robustness"]["knn"]
    for name in ("retrieval", "clustering"):
        assert again[name]["run"] == first[name]["run"] and again[name]["chance"] == first[name]["chance"]
    less = run(measured=marked)
    assert less["retrieval"]["random"]["mAP"] == 1.5 and less["clustering"] is less["robustness"] is None


@pytest.mark.parametrize("lacks", ["retrieval", "robustness"])
def test_controls_that_lack_something_or_had_another_protocol_are_measured_again(lacks):
    first = whole()
    old = json.loads(json.dumps(first)) | {"knn": {**first["knn"], "random": 1.5}}
    del old[lacks]  # an evaluation of an older version
    assert run(everything=True, measured=old) == first
    old = json.loads(json.dumps(first)) | {"knn": {**first["knn"], "random": 1.5}}
    old[lacks]["protocol"]["version"] = 0
    assert run(everything=True, measured=old) == first


def test_what_takes_its_time_is_kept_from_before_where_the_protocol_is_the_same():
    first = whole()
    again = run(before=first)
    assert again["kept"] == ["clustering", "robustness"]
    assert again["clustering"] == first["clustering"] and again["robustness"] == first["robustness"]
    other = run(before=first, protocol=Protocol(queries=30))
    assert other["kept"] == [] and other["clustering"] is other["robustness"] is None
    older = json.loads(json.dumps(first))
    older["robustness"]["protocol"]["version"] = 1
    assert run(before=older)["kept"] == ["clustering"]
    assert run(before={})["kept"] == []


def test_controls_compare_across_weights_but_not_what_is_kept():
    first, student = whole(), Protocol(weights="the student's")
    marked = {**first, "knn": {**first["knn"], "random": 1.5}}
    assert run(measured=marked, protocol=student)["knn"]["random"] == 1.5
    assert run(before=first, protocol=student)["kept"] == []


class Lost(torch.nn.Module):
    """A network that says nothing finite, whatever its weights."""

    def forward(self, x):
        return x.flatten(1)[:, :4] * torch.nan


def test_a_control_that_is_not_finite_is_left_out_and_counted():
    found = run(untrained=Lost)
    assert found["controls_non_finite"] == {"random": 135} and found["non_finite"] == 0
    assert list(found["knn"]) == list(found["linear"]) == ["run", "pixels"]
    assert set(found["retrieval"]) == {"protocol", "run", "chance", "pixels"}
    assert found["untrained"] is None
    assert "random" not in found["factors"]["colour"] and found["factors"]["colour"]["word"] == "kept"
    sound = run()
    assert sound["controls_non_finite"] == {} and sound["knn"]["run"] == found["knn"]["run"]
    assert run(measured=json.loads(json.dumps(found)))["knn"] == sound["knn"]  # no control is taken over from there
    assert verdict([], final=found, finished=True).sentence


def test_the_protocol_of_factors_stands_beside():
    said = run()["protocols"]["factors"]
    assert said["version"] == 1 and said["memory"] == 90 and said["queries"] == 45 and "16 px" in said["view"]


def test_the_shape_is_that_of_the_queries():
    from unlabel.evaluation.features import extract

    found = run()
    expected = measure(extract(colour, Bars(45, seed=1), VIEW).vectors)
    assert math.isnan(expected.pop("spectral_decay")) and found["spectral_decay"] is None  # three directions
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_factors_have_scores_controls_and_a_word():
    found = run()["factors"]
    assert set(found) == {"colour", "brightness", "angle", "noise"}
    assert found["colour"]["kind"] == "class" and found["colour"]["chance"] == pytest.approx(100 / 3)
    assert found["colour"]["run"] > 95 and found["colour"]["word"] == "kept"
    assert found["noise"]["word"] == "discarded" and found["angle"]["kind"] == "regression"
    assert set(found["angle"]) == {"run", "random", "pixels", "kind", "chance", "word"}


def test_without_labels_there_is_only_the_shape():
    found = run(train=Bars(30, labelled=False), test=Bars(20, labelled=False))
    assert found["knn"] is found["linear"] is found["factors"] is found["classes"] is None
    assert found["untrained"]["dimensions"] == 128 and found["untrained"]["images"] == 20
    assert found["effective_rank"] > 1 and found["protocol"]["queries"] == 20 and found["protocol"]["memory"] == 0
    judged = verdict([], final=found, finished=True)
    assert judged.state == "too-short" and "no labels" in judged.sentence


def test_one_collection_as_both_sides_measures_no_accuracy():
    source = Bars(30)
    found = run(train=source, test=source)
    assert found["knn"] is None and found["factors"] is None and found["std"] > 0


def test_without_a_backbone_there_is_no_random_control():
    found = run(untrained=None)
    assert list(found["knn"]) == ["run", "pixels"] and found["untrained"] is None


def test_limits_are_balanced_and_counted():
    found = run(protocol=Protocol(memory=30, queries=15))
    assert found["protocol"]["memory"] == 30 and found["images"] == found["protocol"]["queries"] == 15


def test_partly_labelled_sources_use_what_is_known():
    train, test = Bars(90), Bars(45, seed=1)
    train.labels[:30] = -1
    test.labels[:5] = -1
    found = run(train=train, test=test)
    assert found["protocol"]["memory"] == 60 and found["protocol"]["queries"] == 40 and found["images"] == 45
    assert found["knn"]["run"] > 90


def test_unreadable_images_are_counted_and_left_out():
    found = run(train=Bars(90, broken=(3, 4)), test=Bars(45, seed=1, broken=(0,)))
    assert found["skipped"] == 3 and found["images"] == 44 and found["protocol"]["memory"] == 88


def test_no_readable_image_is_a_fault():
    with pytest.raises(Fault, match="bars: none of the images"):
        run(test=Bars(3, broken=(0, 1, 2)))


def test_embeddings_that_are_no_numbers_are_counted_and_judged():
    found = run(lambda x: colour(x) * math.nan)
    assert found["non_finite"] == 135 and found["knn"] is None and found["std"] is None
    assert verdict([], final=found, finished=True).state == "diverging"


def test_tiny_collections():
    found = run(train=Bars(3), test=Bars(1))
    assert found["std"] is None and found["knn"]["run"] in (0.0, 100.0)
    one_class = run(train=Bars(6, classes=1), test=Bars(6, classes=1))
    assert one_class["knn"] is None
    assert verdict([], final=found, finished=True).state in ("too-short", "not-better-than-random")


def test_a_subset_is_a_source():
    source = Bars(60)
    found = run(train=Subset(source, np.arange(40)), test=Subset(source, np.arange(40, 60)))
    assert found["protocol"]["memory"] == 40 and found["factors"]["colour"]["run"] > 90


def test_verdict_on_real_features():
    better = run(protocol=Protocol(queries=45), test=Bars(45, seed=1))
    constant = run(lambda x: x.new_ones(len(x), 8) + 1e-4 * x.mean((2, 3)) @ torch.ones(3, 8))
    assert verdict([], final=constant, finished=True).state == "collapsed"
    assert verdict([], final=better, finished=True).state in ("learning", "not-better-than-random")
    assert "45 images with labels" in verdict([], final=better, finished=True).sentence


def test_it_repeats_itself_draws_from_nobody_and_tells_of_progress():
    told = []
    before = torch.get_rng_state()
    one = run(progress=lambda what, share: told.append((what, share)))
    assert torch.equal(before, torch.get_rng_state())
    assert one == run()
    assert {"queries", "memory", "factors"} <= {what for what, _ in told} and all(0 <= share <= 1 for _, share in told)


def test_what_the_loss_compared_is_measured_beside_the_representation():
    from unlabel.diagnostics import singular_values
    from unlabel.evaluation.features import extract

    found = run(project=lambda h: h[:, :2])["projection"]
    z = extract(colour, Bars(45, seed=1), VIEW).vectors[:, :2]
    expected = measure(z)
    assert math.isnan(expected.pop("spectral_decay")) and found["spectral_decay"] is None  # three directions
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["spectrum"] == pytest.approx(singular_values(z).tolist())
    assert run()["projection"] is run(project=lambda h: h)["projection"] is None
    assert run(project=lambda h: h * math.nan)["projection"] is None


def test_lidar_counts_what_tells_images_apart():
    found = run()
    assert 1 <= found["lidar"] <= found["dimensions"] and found["norm"] > 0
    assert found["participation_ratio"] <= found["effective_rank"]
    assert found["protocols"]["lidar"]["views"] == 8 and found["protocols"]["lidar"]["images"] == 45
    assert found["protocols"]["shape"]["images"] == found["protocols"]["shape"]["pairs"] == 45
    wide = run(lambda x: x.flatten(1))  # 768 dimensions: 45 x 7 views are too few, 45 x 18 are not
    assert wide["lidar"] >= 1 and wide["protocols"]["lidar"]["views"] == 19
    wider = run(lambda x: torch.cat([x.flatten(1)] * 2, dim=1))
    assert wider["lidar"] is None and "lidar" not in wider["protocols"] and "shape" in wider["protocols"]


@pytest.mark.parametrize(
    ("dimensions", "images", "views"),
    [(512, 200, 8), (2048, 5_000, 12), (1400, 200, 8), (1401, 200, 9), (6200, 200, 32), (6201, 200, None)],
)
def test_wide_networks_are_shown_more_views(dimensions, images, views):
    assert lidar_views(dimensions, images) == views
    assert views is None or min(images, 200) * (views - 1) >= dimensions
