"""The words after `unlabel pretrain METHOD`: --name value, --name=value and name=value mean the same."""

from collections.abc import Collection, Sequence

_YES_OR_NO = ("true", "false", "yes", "no", "1", "0")


def parse(words: Sequence[str], flags: Collection[str] = ()) -> tuple[list[str], dict[str, str], list[str]]:
    """Split words into positional ones, options by name, and faults (one sentence each).

    flags: options that may stand alone, which says yes.
    """
    positional: list[str] = []
    options: dict[str, str] = {}
    faults: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, given, value = word.partition("=")
        if word.startswith("--"):
            name = name[2:]
            if not given and name.replace("-", "_") in flags and (not rest or rest[0].lower() not in _YES_OR_NO):
                value = "true"
            elif not given:
                if not rest or rest[0].startswith("--"):
                    faults.append(f"option `{word}` has no value: write `{word} VALUE`")
                    continue
                value = rest.pop(0)
        elif not given or not name.isidentifier():
            positional.append(word)
            continue
        name = name.replace("-", "_")
        if name in options:
            faults.append(f"option `{name}` is given twice ({options[name]} and {value})")
        options[name] = value
    return positional, options, faults
