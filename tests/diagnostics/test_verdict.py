"""The rules on hand-made histories, and on measured clouds of points: healthy, collapsed, flat."""

import math

import pytest
import torch

from unlabel.diagnostics import STATES, measure, verdict
from unlabel.diagnostics.evidence import SEEDS, margin


def reading(update, *, knn=None, rank=100.0, std=0.04, cosine=0.1, width=512, **more):
    found = {"effective_rank": rank, "std": std, "mean_cosine": cosine, "dimensions": width, "uniformity": -3.0, **more}
    return {"update": update, "epoch": update / 10, "seconds": 1.0, "monitor": found | ({"knn": knn} if knn else {})}


def readings(knn):
    return [reading(100 * i, knn=value) for i, value in enumerate(knn)]


def losses(values):
    return [{"update": i, "loss": value, "terms": {}, "lr": 0.1} for i, value in enumerate(values)]


def evaluation(knn=None, linear=None, queries=5000, **shape):
    def three(scores):
        return scores and dict(zip(("run", "random", "pixels"), scores, strict=True))

    shape = {"std": 0.04, "mean_cosine": 0.1, "dimensions": 512, "effective_rank": 100.0, "non_finite": 0} | shape
    probes = linear and {who: {"top1": top1, "top5": None} for who, top1 in three(linear).items()}
    return {"protocol": {"queries": queries}, "knn": three(knn), "linear": probes, "translation": None, **shape}


def judge(history, final=None, finished=False):
    found = verdict(history, final=final, finished=finished)
    assert found.state in STATES
    for text in (found.sentence, found.advice):
        assert text.endswith(".") and "\n" not in text and "nan" not in text and "None" not in text
    return found


# ------------------------------------------------------------------ too short


@pytest.mark.parametrize("history", [[], losses([3.0, 2.9]), readings([10.0, 30.0])])
def test_too_little_is_too_short(history):
    assert judge(history).state == "too-short"


def test_noise_is_not_learning_yet():
    assert judge(readings([30.0, 31.0, 31.5, 30.5])).state == "too-short"


# ------------------------------------------------------------------ where the loss sits


VALUES = {"all embeddings are equal": 6.24}


def judged(history, values):
    return verdict(history, final=None, finished=False, collapse_values=values)


@pytest.mark.parametrize("shape", [{"std": 1e-4}, {"dimensions_99": 1}], ids=["collapsed", "dimensional-collapse"])
def test_a_collapse_says_that_the_loss_agrees(shape):
    readings = [reading(0, dimensions_99=80), *(reading(100 * i, **shape) for i in range(1, 4))]
    alone, with_it = judged(readings + losses([6.24] * 50), {}), judged(readings + losses([6.24] * 50), VALUES)
    assert alone.state == with_it.state != "learning" and alone.advice == with_it.advice
    said = "; the loss sits at 6.24, its value where all embeddings are equal."
    assert with_it.sentence == alone.sentence.removesuffix(".") + said
    assert judged(readings + losses([5.0] * 50), VALUES) == alone


def test_a_loss_that_never_left_is_named():
    readings = [reading(100 * i) for i in range(6)]
    found = judged(readings + losses([math.log(1024)] * 100), {"the teacher's output is uniform": math.log(1024)})
    assert found.state == "loss-at-collapse"
    assert found.sentence.startswith("The loss sits at ln 1024: the teacher's output is uniform; ")
    assert "no labels" in found.sentence
    with_labels = [reading(100 * i, knn=30.0 + i % 2) for i in range(6)]
    found = judged(with_labels + losses([6.25] * 100), VALUES)
    assert found.state == "loss-at-collapse" and "at 6.24: all embeddings" in found.sentence and "kNN" in found.sentence


def test_a_loss_at_such_a_value_proves_nothing_alone():
    at_first = [reading(100 * i) for i in range(5)]
    assert judged(at_first + losses([6.24] * 50), VALUES).state == "too-short"
    learned = [reading(100 * i, knn=30.0 + 5 * i) for i in range(6)]
    assert judged(learned + losses([6.24] * 100), VALUES) == judged(learned + losses([6.24] * 100), {})
    # BYOL's loss comes down to 0 where embeddings are equal, and where its task is solved.
    solved = [reading(100 * i) for i in range(6)] + losses([1 - 0.02 * i for i in range(50)] + [0.001] * 50)
    assert judged(solved, {"all embeddings are equal": 0.0}).state != "loss-at-collapse"


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([reading(100 * i, std=0.04 / 10**i) for i in range(4)], "complete collapse: every image has the same embedding"),
        ([reading(100 * i, dimensions_99=few, width=128) for i, few in enumerate((80, 40, 3))],
         "dimensional collapse: 3 of 128 dimensions carry 99 %"),
        (readings([30.0, 50.0, 60.0, 61.0, 60.5, 61.2, 60.9, 61.3]), "plateau: safe to stop: kNN went from"),
        (losses([5.0, math.nan]) + readings([30.0, 40.0, 50.0]), "diverging: the loss is not a finite number"),
        (readings([30.0, 36.0, 41.0]), "learning: kNN went from 30.0 % to 41.0 %"),
    ],
)  # fmt: skip
def test_what_people_read(history, words):
    found = judge(history)
    assert f"{found.title}: {found.clause}".startswith(words)


def test_the_std_of_a_collapse_is_said():
    found = judge([reading(100 * i, std=std) for i, std in enumerate((0.04, 0.01, 0.001))])
    assert "every image has the same embedding (std 0.001): 2.3 % of" in found.clause
    assert "(std 0.00" in judge([reading(100 * i, std=std) for i, std in enumerate((0.04, 0.01, 0.0016))]).sentence


# ------------------------------------------------------------------ while training, with labels


def test_rising_knn_is_learning():
    found = judge(readings([30.0, 36.0, 41.0]))
    assert found.state == "learning" and "30.0 % to 41.0 %" in found.sentence


def test_knn_that_rose_and_stopped_is_a_plateau():
    found = judge(readings([30.0, 50.0, 60.0, 61.0, 60.5, 61.2, 60.9, 61.3]))
    assert found.state == "plateau" and "+0.2 points in the last third" in found.sentence


def test_knn_that_fell_from_its_best_says_when():
    found = judge(readings([30.0, 50.0, 62.0, 60.0, 50.0, 41.0, 40.0]))
    assert found.state == "plateau" and "update 200" in found.sentence and "62.0 %" in found.sentence


def test_knn_that_never_beat_the_untrained_network():
    found = judge(readings([30.0, 29.0, 31.0, 30.0, 28.0, 31.0, 30.5]))
    assert found.state == "not-better-than-random" and "untrained" in found.sentence


def test_more_images_behind_a_reading_mean_less_noise():
    few, many = (
        [reading(100 * i, knn=knn, images=images) for i, knn in enumerate((50.0, 51.0, 52.0))] for images in (500, 5000)
    )
    assert judge(few).state == "too-short" and judge(many).state == "learning"
    asked = [{**line, "monitor": {**line["monitor"], "knn_queries": 500}} for line in many]
    assert judge(asked).state == "too-short", "what counts is how many were asked by live kNN"


def test_a_first_reading_that_is_not_of_the_untrained_network_proves_nothing():
    history = [reading(500 + 100 * i, knn=60.0 + i % 2) for i in range(7)]
    assert judge(history).state == "plateau"


# ------------------------------------------------------------------ while training, without labels


def test_without_labels_a_falling_loss_is_learning_and_the_lack_is_said():
    history = losses([5 - 0.02 * i for i in range(100)]) + [reading(30 * i) for i in range(4)]
    found = judge(history)
    assert found.state == "learning" and "no labels" in found.sentence and "5" in found.sentence


def test_without_labels_a_rising_rank_is_learning():
    history = losses([5.0] * 100) + [reading(30 * i, rank=50 + 10 * i) for i in range(6)]
    assert judge(history).state == "learning"


def test_without_labels_and_without_movement_it_is_a_plateau():
    history = losses([5.0] * 100) + [reading(30 * i) for i in range(6)]
    found = judge(history)
    assert found.state == "plateau" and "no labels" in found.sentence


def test_a_halved_rank_is_no_reason_for_praise():
    history = losses([5 - 0.02 * i for i in range(100)]) + [reading(30 * i, rank=200 / (i + 1)) for i in range(6)]
    found = judge(history)
    assert "200" in found.sentence and "33" in found.sentence and "collaps" in found.advice


def test_readings_alone_say_nothing_of_a_loss():
    found = judge([reading(30 * i) for i in range(6)])
    assert found.state == "plateau" and "loss went" not in found.sentence


# ------------------------------------------------------------------ diverging


@pytest.mark.parametrize("last", [math.nan, math.inf, None])
def test_a_loss_that_is_no_number_diverges(last):
    assert judge(losses([5.0, 4.0, last]) + readings([30.0, 40.0, 50.0])).state == "diverging"


def test_a_loss_that_recovered_does_not():
    assert judge(losses([5.0, math.nan, 4.0]) + readings([30.0, 40.0, 50.0])).state == "learning"


def test_an_exploding_loss_diverges():
    risen = losses([2.0] * 10 + [2.0 + i for i in range(90)])
    found = judge(risen)
    assert found.state == "diverging" and "was 2 at first" in found.sentence
    proven = evaluation((62.0, 30.0, 36.0), (70.0, 40.0, 41.0))  # terms that grow by design make a loss rise
    assert judge(risen, proven, True).state == "learning"


def test_a_loss_that_rises_for_a_good_reason_does_not():
    # A queue that fills with harder negatives, a teacher that sharpens: rises of tens of per cent are normal.
    history = losses([6.0] * 10 + [9.0] * 90) + readings([30.0, 40.0, 50.0])
    assert judge(history).state == "learning"


def test_embeddings_that_are_no_numbers_diverge():
    history = [reading(0), reading(100), reading(200, std=math.nan, cosine=math.nan, rank=math.nan)]
    assert judge(history).state == "diverging"
    final = evaluation(std=None, mean_cosine=None, effective_rank=None, non_finite=7)
    found = judge([reading(0), reading(100), reading(200)], final, True)
    assert found.state == "diverging" and "7 embeddings" in found.sentence


# ------------------------------------------------------------------ collapse


def test_collapse_while_training():
    history = [reading(100 * i, std=0.04 / 10**i, cosine=1 - 0.1 / 100**i) for i in range(4)]
    found = judge(history)
    assert found.state == "collapsed" and "0.091 %" in found.sentence and "91 % with untrained" in found.sentence


def test_a_network_that_begins_narrow_has_not_collapsed_until_it_is_narrower_still():
    """Average-pooled features after instance norm, as of CUT's generator, point nearly the same way from the start."""
    narrow = [reading(100 * i, std=0.001, cosine=0.9995) for i in range(8)]
    assert judge(narrow[:5]).state == "too-short"
    assert judge(narrow).state == "plateau"
    assert judge([*narrow, reading(800, std=0.0004, cosine=0.9999)]).state == "collapsed"


def test_collapse_is_seen_without_the_number_of_dimensions():
    history = [reading(100 * i, cosine=cosine, width=None) for i, cosine in enumerate((0.2, 0.99, 0.9999))]
    found = judge(history)
    assert found.state == "collapsed" and "1 %" in found.sentence


def test_labels_outvote_a_narrow_cone():
    narrow = {"std": 0.0005, "mean_cosine": 0.9999}
    assert judge([], evaluation((30.0, 29.9, 35.0), (30.0, 30.0, 35.0), **narrow), True).state == "collapsed"
    assert judge([], evaluation((60.0, 29.9, 35.0), (70.0, 30.0, 35.0), **narrow), True).state == "learning"


def test_dimensional_collapse_is_a_fall():
    history = [reading(100 * i, dimensions_99=few) for i, few in enumerate((80, 40, 12, 6))]
    found = judge(history)
    assert found.state == "dimensional-collapse" and "6 of 512" in found.sentence and "80 with" in found.sentence


def test_simple_images_fill_few_directions_of_any_network():
    # Random weights of a small ViT, measured on drawn shapes: 5 of 192 directions.
    shape = {"std": 0.051, "dimensions": 192, "effective_rank": 10.3, "dimensions_99": 5, "images": 400}
    alone = judge([], evaluation(**shape), True)
    assert alone.state == "dimensional-collapse"  # nothing to compare with
    beside = judge([], evaluation(**shape, untrained=shape), True)
    assert beside.state == "too-short" and "10 of 192 (10 untrained)" in beside.sentence
    wider = judge([], evaluation(**shape, untrained=shape | {"dimensions_99": 50}), True)
    assert wider.state == "dimensional-collapse" and "50 with untrained weights" in wider.sentence


# ------------------------------------------------------------------ evaluation


def test_learning_with_every_control():
    found = judge(readings([30.0, 50.0, 60.0]), evaluation((62.0, 30.0, 36.0), (70.0, 40.0, 41.0)), True)
    assert found.state == "learning"
    for number in ("62.0 %", "30.0 %", "36.0 %", "70.0 %", "5,000"):
        assert number in found.sentence


def test_not_better_than_random_within_the_noise():
    assert margin(25.0, 5000, SEEDS) == pytest.approx(2 * math.hypot(math.sqrt(25 * 75 / 5000), 1.8))
    found = judge([], evaluation((31.0, 30.0, 36.0), (40.5, 40.0, 41.0)), True)
    assert found.state == "not-better-than-random"
    assert judge([], evaluation((34.5, 30.0, 29.0), (40.5, 40.0, 41.0)), True).state == "learning"
    assert judge([], evaluation((34.5, 30.0, 29.0), (40.5, 40.0, 41.0), queries=200), True).state != "learning"


def test_near_the_ceiling_fewer_points_are_enough():
    # Digits, where even random weights have 95 %: a third of their mistakes is much.
    found = judge([], evaluation((98.3, 94.9, 96.0), (98.9, 96.1, 92.0)), True)
    assert found.state == "learning"
    assert judge([], evaluation((95.2, 94.9, 96.0), (96.3, 96.1, 92.0)), True).state == "not-better-than-random"
    assert margin(100.0, 5000) > 0 and margin(100.0, 10) > margin(99.0, 5000)  # all of ten right is no proof


def test_another_random_seed_is_not_learning():
    # A network of random weights against another one, as measured on CIFAR-10.
    found = judge([], evaluation((22.7, 22.0, 39.3), (26.7, 22.8, 36.7), queries=1000), True)
    assert found.state == "not-better-than-random"


def test_the_linear_probe_alone_is_enough_and_is_named():
    found = judge([], evaluation((30.0, 30.0, 29.0), (50.0, 40.0, 41.0)), True)
    assert found.state == "learning" and "linear probe does" in found.sentence


def test_raw_pixels_that_are_as_good_are_named():
    found = judge([], evaluation((40.0, 30.0, 40.0), (50.0, 40.0, 50.0)), True)
    assert found.state == "learning" and "raw pixels do as well" in found.sentence


def test_advice_on_length_comes_from_the_readings():
    scores = evaluation((62.0, 30.0, 36.0), (70.0, 40.0, 41.0))
    rising = judge(readings([30.0, 40.0, 45.0, 50.0, 56.0, 62.0]), scores, True)
    flat = judge(readings([30.0, 50.0, 60.0, 61.0, 61.5, 61.0]), scores, True)
    assert "longer run" in rising.advice and "not the length" in flat.advice


def test_evaluation_without_labels_says_so():
    assert judge([], evaluation(), True).state == "too-short"
    history = losses([5 - 0.02 * i for i in range(100)]) + [reading(30 * i) for i in range(4)]
    found = judge(history, evaluation(), True)
    assert found.state == "learning" and "no labels" in found.sentence


def test_a_score_without_a_control_is_no_proof():
    final = evaluation() | {"knn": {"run": 50.0}}
    found = judge([], final, True)
    assert found.state == "too-short" and "50.0 %" in found.sentence and "no control" in found.sentence


def test_translation_is_judged_against_doing_nothing():
    def final(closer, kid=1.0):
        translated = {"fd": 10 * (1 - closer), "kid": kid}
        return {"translation": {"identity": {"fd": 10.0, "kid": 2.0}, "translation": translated, "closer": closer}}

    better, worse = judge([], final(0.4), True), judge([], final(-0.1), True)
    for hardly in (final(0.002), final(0.4, kid=2.5)):  # the identity does so half of the time; another distance denies
        assert judge([], hardly, True).state == "not-better-than-identity"
    assert better.state == "learning" and "40 %" in better.sentence
    assert worse.state == "not-better-than-identity" and "11" in worse.sentence


# ------------------------------------------------------------------ measured clouds


def cloud(kind, n=400, d=64):
    g = torch.Generator().manual_seed(0)
    if kind == "healthy":
        return torch.randn(n, d, generator=g)
    if kind == "collapsed":
        return torch.randn(1, d, generator=g) + 0.01 * torch.randn(n, d, generator=g)
    side = torch.randn(n, 1, generator=g).sign()  # two sides of one line
    return side @ torch.randn(1, d, generator=g) + 0.02 * torch.randn(n, d, generator=g)


@pytest.mark.parametrize(
    ("kind", "state"), [("healthy", "learning"), ("collapsed", "collapsed"), ("flat", "dimensional-collapse")]
)
def test_measured_clouds(kind, state):
    shape = measure(cloud(kind))
    shapes = [measure(cloud("healthy")), shape, shape]
    history = losses([5 - 0.02 * i for i in range(100)])
    history += [{"update": i, "monitor": shape} for i, shape in enumerate(shapes)]
    assert judge(history).state == state
    assert judge([], {"protocol": {}, **shape}, True).state == (state if state != "learning" else "too-short")


def test_few_images_cannot_fill_many_dimensions_and_are_not_blamed():
    shape = measure(torch.randn(8, 512))
    assert shape["dimensions_99"] <= 7
    assert judge([], {"protocol": {}, **shape}, True).state == "too-short"


# ------------------------------------------------------------------ what the loss compares


def with_projection(line, **shape):
    line["monitor"] |= {f"projection_{name}": value for name, value in shape.items()}
    return line


def test_a_collapse_behind_the_projector_is_seen_there():
    shapes = [{"dimensions": 64, "std": std, "mean_cosine": 0.9} for std in (0.05, 0.01, 0.001)]
    history = [with_projection(reading(100 * i), **shape) for i, shape in enumerate(shapes)]
    found = judge(history)
    assert found.state == "collapsed" and "in the loss" in found.sentence and "40 % with untrained" in found.sentence
    assert judge([reading(100 * i) for i in range(3)]).state != "collapsed"
    learning = [with_projection(reading(100 * i, knn=30.0 + 10 * i), **shape) for i, shape in enumerate(shapes)]
    assert judge(learning).state == "learning"  # labels outvote it


def narrow(*ratios, rows=()):
    shapes = [
        {"dimensions": 128, "dimensions_99": 5 * r, "participation_ratio": r, "images": 400, "std": 0.08}
        for r in ratios
    ]
    return [with_projection(reading(100 * i), **shape) for i, shape in enumerate(shapes)] + list(rows)


def test_a_few_directions_behind_the_projector_are_seen_there():
    found = judge(narrow(20.0, 5.0, 1.2))
    assert found.state == "dimensional-collapse" and found.sentence.startswith("In the loss, 6 of 128")
    assert "participation ratio 1.2), 100 with untrained" in found.sentence
    assert judge(narrow(20.0, 5.0, 2.2)).state != "dimensional-collapse"
    assert judge(narrow(2.0, 2.0, 1.2)).state != "dimensional-collapse"  # it began so


def test_while_the_loss_falls_a_few_directions_behind_the_projector_are_no_collapse():
    """As measured: Barlow Twins and SwAV begin so on simple images."""
    ratios = (20.0, 5.0, 1.2)
    assert judge(narrow(*ratios, rows=losses([5 - 0.02 * i for i in range(100)]))).state != "dimensional-collapse"
    early = losses([5.0, 3.0] + [1.0] * 98)
    assert judge(narrow(*ratios, rows=early)).state == "dimensional-collapse"


def test_a_loss_that_never_left_its_collapse_value_is_to_blame_for_few_directions():
    history = narrow(20.0, 5.0, *([1.2] * 5), rows=losses([6.24] * 100))
    assert judged(history, VALUES).state == "loss-at-collapse"
    assert judged(history, {}).state == "dimensional-collapse"


def test_an_evaluation_has_it_as_an_entry():
    begun = with_projection(reading(0), dimensions=64, std=0.1)
    healthy, collapsed = ({"dimensions": 64, "std": std} for std in (0.1, 0.001))
    assert judge([begun], evaluation(projection=collapsed), True).state == "collapsed"
    for projection in (healthy, None):
        assert judge([begun], evaluation(projection=projection), True).state == "too-short"


def test_a_healthy_system_may_be_a_narrow_cone_behind_its_projector():
    """As measured: DINO's bottleneck is one."""

    def history(**shape):
        shapes = [{"dimensions": 128, "std": 0.04}, shape, shape]
        return [with_projection(reading(100 * i), **of) for i, of in enumerate(shapes)]

    cone = {"dimensions": 128, "std": 0.004}
    assert judge(history(**cone)).state != "collapsed"
    sits = losses([1.0] * 10 + [0.001] * 30)
    assert judged(history(**cone) + sits, {"all embeddings are equal": 0.0}).state == "collapsed"
    assert judge(history(**{**cone, "std": 0.002})).state == "collapsed"


def test_a_handful_of_updates_is_too_short_for_a_trend():
    history = [reading(i, knn=30.0) for i in range(8)]
    assert "7 updates" in judge(history).sentence and judge(history).state == "too-short"
    assert judge(history, evaluation((31.0, 30.0, 36.0), (40.5, 40.0, 41.0)), True).state == "too-short"
    assert judge(history, evaluation((62.0, 30.0, 36.0), (70.0, 40.0, 41.0)), True).state == "learning"
    assert judge([reading(i, std=0.04 / 10**i) for i in range(4)]).state == "collapsed"


def test_a_uniform_teacher_is_named_although_its_embeddings_are_narrow():
    def history(share):
        shapes = [{"dimensions": 128, "std": 0.04}, *[{"dimensions": 128, "std": 0.001}] * 5]
        lines = [with_projection(reading(100 * i), **shape) for i, shape in enumerate(shapes)]
        for line in lines:
            line["monitor"]["assignment_entropy_share"] = share
        return lines + losses([math.log(1024)] * 100)

    values = {"the teacher's output is uniform": math.log(1024)}
    found = judged(history(0.999), values)
    assert found.state == "loss-at-collapse" and "at ln 1024: the teacher's output is uniform" in found.sentence
    assert judged(history(0.5), values).state == judged(history(0.999), {}).state == "collapsed"
