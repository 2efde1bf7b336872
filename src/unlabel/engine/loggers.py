"""Where the numbers of a run go beside metrics.jsonl; what one of these places cannot do ends no training."""

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from rich.console import Console

from unlabel.console import tell
from unlabel.engine.folder import RunFolder, read_json, write_json
from unlabel.engine.job import Job
from unlabel.engine.services import SERVICES, Begun, Ending, Service
from unlabel.errors import Fault, Interrupted, command


def need(names: Iterable[str] | None) -> None:
    """Fault, with what to install, where a service is asked for whose library is not there."""
    for name in names or ():
        spec = find_spec(name)
        if spec is None or spec.origin is None:  # a folder of that name in the current one is no library
            raise Fault(f"`log` names {name}, which is not installed: pip install 'unlabel[{name}]'")


class Loggers:
    """The services of one run, from its first number to its verdict; a context that closes them however it ends.

    A service that cannot be opened when a run is begun is a Fault: nothing is lost yet, and it was asked for by name.
    Later, in training or when a run goes on, it is left out with one sentence: metrics.jsonl has every number.
    """

    def __init__(self, job: Job, folder: RunFolder, console: Console) -> None:
        self.job, self.folder, self.console = job, folder, console
        self.services: dict[str, Service] = {}

    def open(self, updates: int) -> None:
        """Open the services for a run that has done so many updates."""
        known = read_json(self.folder.loggers, f"{self.folder.loggers} is damaged") if self._goes_on else {}
        begun = Begun(self.folder.path, self.job.command, self.job.run.method, updates)
        for name in self.job.run.log or ():
            service = SERVICES[name]()
            try:
                facts = service.open(begun, known.get(name, {}))
            except Exception as problem:
                if name not in known:
                    raise Fault(
                        f"{service.title} cannot be opened ({_first_line(problem)}): mend it, then "
                        f"`{command(self.job.command, '--resume', self.folder.path)}`, or begin anew without it"
                    ) from problem
                self._say(service, problem)
                continue
            self.services[name] = service
            known[name] = facts
        write_json(self.folder.loggers, known)

    def settings(self, job: Job) -> None:
        """Tell them what the run is, once its length is known."""
        told = job.as_dict()
        values = {
            "unlabel": self.folder.read()["unlabel"], **{part: told[part] for part in ("run", "plan", "hyper")},
            "images": job.images,
            "updates": job.updates, "updates_per_epoch": job.updates_per_epoch,
            "from_run": job.origin.path if job.origin else None,
        }  # fmt: skip
        self._each(lambda service: service.settings(values))

    def metrics(self, values: Mapping[str, float], update: int) -> None:
        """Numbers after so many updates, by the names that they have everywhere."""
        self._each(lambda service: service.metrics(values, update))

    def verdict(self, judged: Mapping[str, str], update: int) -> None:
        """What the readings so far amount to, where it is another state than before."""
        self._each(lambda service: service.words(_words(judged), update))

    def result(self, updates: int) -> None:
        """Tell them what came out, from the files of the folder: numbers, cost, verdict, report."""
        cost = {f"cost/{name}": value for name, value in self.folder.read()["cost"].items()}
        words: dict[str, str] = {}
        if self.folder.evaluation.exists():
            found = read_json(self.folder.evaluation, f"{self.folder.evaluation} is damaged")
            words = _words(found["verdict"])
            cost |= {f"final/{name}": value for name, value in numbers(found).items()}
        page = self.folder.report if self.folder.report.exists() else None
        self._each(lambda service: service.result(cost, words, page, updates))

    def close(self, ending: Ending) -> None:
        """Let go of all of them."""
        self._each(lambda service: service.close(ending))
        self.services = {}

    def __enter__(self) -> "Loggers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        stopped = isinstance(value, Interrupted | KeyboardInterrupt)
        self.close("finished" if value is None else "stopped" if stopped else "failed")

    @property
    def _goes_on(self) -> bool:
        return self.folder.loggers.exists()

    def _each(self, does: Callable[[Service], None]) -> None:
        for name, service in list(self.services.items()):
            try:
                does(service)
            except Exception as problem:  # of somebody else's library, disk or network
                del self.services[name]
                self._say(service, problem)

    def _say(self, service: Service, problem: Exception) -> None:
        words = f"{service.title} failed and is left out from here on ({_first_line(problem)})"
        tell(self.console, f"{words}; {self.folder.metrics} has every number")


def numbers(evaluation: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """The single numbers of an evaluation by path, such as "knn/run"; lists and the protocol are left out."""
    found: dict[str, float] = {}
    for name, value in evaluation.items():
        if isinstance(value, Mapping) and name != "protocol":
            found |= numbers(value, f"{above}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{above}{name}"] = float(value)
    return found


def _words(judged: Mapping[str, str]) -> dict[str, str]:
    """A verdict by the names that it has in every service; older runs may lack the advice."""
    more = {f"verdict_{part}": judged[part] for part in ("sentence", "advice") if part in judged}
    return {"verdict": judged["state"], **more}


def _first_line(problem: Exception) -> str:
    text = str(problem).strip()
    return text.splitlines()[0] if text else type(problem).__name__
