from unlabel.diagnostics import judge_classifier


def test_a_clear_lead_is_learning() -> None:
    found = judge_classifier(71.2, scratch=48.0, teacher=None, labelled=500, queries=5000)
    assert found.state == "learning" and "71.2 %" in found.sentence and "500 labels" in found.sentence
    assert "48.0 %" in found.sentence and "teacher" not in found.sentence


def test_a_lead_within_noise_is_none() -> None:
    found = judge_classifier(50.0, scratch=48.5, teacher=61.0, labelled=80, queries=5000)
    assert found.state == "not-better-than-random" and "its teacher 61.0 %" in found.sentence and found.advice


def test_without_a_control_nothing_is_claimed() -> None:
    found = judge_classifier(99.0, scratch=None, teacher=None, labelled=80, queries=100)
    assert found.state == "too-short" and "not measured" in found.sentence
