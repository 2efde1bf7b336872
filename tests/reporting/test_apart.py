"""Names that say what differs, and no more."""

from typing import Any

from unlabel.reporting.apart import choice, differing, names_apart, row_names, seeds_of, settings_of, what_differs


def of(**values: Any) -> dict[str, Any]:
    return {name: choice(value) for name, value in values.items()}


def stored(**changes: Any) -> dict[str, Any]:
    return {"run": {"method": "simclr", "data": "a", "seed": 0} | changes}


def test_a_name_says_what_tells_it_from_others_of_the_same_name() -> None:
    settings = [of(t=0.2, lr=1.0), of(t=0.5, lr=1.0), of(t=0.2, lr=2.0)]
    assert names_apart(["simclr", "simclr", "byol"], settings) == ["simclr, t 0.2", "simclr, t 0.5", "byol"]


def test_of_many_differences_the_fewest_that_tell_apart_are_said() -> None:
    settings = [of(a=1, b=1, c=1, d=1, e=0), of(a=1, b=2, c=2, d=2, e=0), of(a=2, b=3, c=2, d=3, e=0)]
    assert names_apart(["x"] * 3, settings) == ["x, b 1, …", "x, b 2, …", "x, b 3, …"]
    assert names_apart(["x"] * 3, settings, most=0) == ["x, b 1", "x, b 2", "x, b 3"]
    two = [of(a=1, b=1, c=1, d=1), of(a=1, b=2, c=2, d=2), of(a=2, b=2, c=2, d=2)]  # no single one tells all apart
    assert names_apart(["x"] * 3, two) == ["x, a 1, b 1, …", "x, a 1, b 2, …", "x, a 2, b 2, …"]


def test_switches_and_what_is_missing_read_as_words() -> None:
    settings = [of(lab=True, size_limit=None), of(lab=False, size_limit=5)]
    assert names_apart(["n", "n"], settings) == ["n, lab, no size limit", "n, no lab, size limit 5"]
    assert names_apart(["n", "n"], [of(lab=True), {}]) == ["n, lab", "n"]


def test_what_is_written_alike_and_is_not_shows_a_few_of_its_digits() -> None:
    settings = [{"data": choice("9f3caaaa", "train")}, {"data": choice("77beaaaa", "train")}]
    assert names_apart(["x", "x"], settings) == ["x, data train (9f3caa)", "x, data train (77beaa)"]


def test_runs_that_differ_in_seed_place_and_readings_are_the_same() -> None:
    one, other = stored(), stored(seed=1, out="elsewhere", controls="x", monitors=3, save_every="5s", threads=4)
    assert settings_of(one) == settings_of(other)
    assert settings_of(one) == settings_of(stored(crop_alpha=0.1))  # an older version did not write this option
    assert settings_of(one) != settings_of(stored(size=64))
    assert seeds_of(one) != seeds_of(other)


def test_epochs_that_a_time_budget_gave_are_no_decision() -> None:
    def run(budget: str | None, epochs: int) -> dict[str, Any]:
        return {**stored(budget=budget), "plan": {"epochs": epochs, "lr": 1.0}}

    assert settings_of(run("5m", 2)) == settings_of(run("5m", 3))
    assert settings_of(run(None, 2)) != settings_of(run(None, 3))


def test_data_is_known_by_its_fingerprint_and_a_part_of_it_by_its_limit() -> None:
    def run(spec: str, fingerprint: str, limit: int | None = None) -> dict[str, Any]:
        return settings_of({**stored(data=spec, limit=limit), "data": {"spec": spec, "fingerprint": [fingerprint]}})

    assert run("/a/photos", "1") == run("/b/photos", "1")
    assert differing([run("/a/photos", "1"), run("/a/photos", "2")]) == ["data"]
    assert differing([run("/a/photos", "1"), run("/a/photos", "2", 500)]) == ["limit"]
    assert row_names([run("/a/photos", "1"), run("/a/photos", "2", 500)])[0] == [
        "simclr, no limit", "simclr, limit 500",
    ]  # fmt: skip


def test_fine_tuned_runs_are_told_by_what_they_come_from_but_not_by_its_seed() -> None:
    def tuned(own: int, **origin: Any) -> dict[str, Any]:
        return {**stored(method="finetune", seed=own), "origin": {"path": f"r{own}", "job": stored(**origin)}}

    assert settings_of(tuned(0, seed=0)) == settings_of(tuned(1, seed=5))
    assert len({seeds_of(tuned(0, seed=0)), seeds_of(tuned(0, seed=5))}) == 2
    names, _ = row_names([settings_of(tuned(0)), settings_of(tuned(0, method="byol"))])
    assert names == ["finetune, from simclr, …", "finetune, from byol, …"]


def test_methods_are_named_by_themselves_and_by_what_is_not_usual() -> None:
    base = {"method": choice("x", "x")}
    rows = [
        {**base, "method": choice(m, m), "batch_size": choice(b), "lr": choice(r)}
        for m, b, r in (("a", 128, 1.0), ("b", 128, 2.0), ("c", 64, 3.0))
    ]
    names, usual = row_names(rows)
    assert names == ["a", "b", "c, batch size 64"]
    assert {name: value.text for name, value in usual.items()} == {"batch_size": "128"}


def test_what_differs_reads_as_a_list() -> None:
    assert what_differs([of(memory=1, view="a", k=20), of(memory=2, view="b", k=20)]) == "memory and view"
