"""The studies that the choices of a study leave open: one for each combination of options."""

from detopt.study.faults import BadInput
from detopt.study.studies import Study

__all__ = ["Variants"]


class Variants:
    """Each is read once. A combination says by number which option of each choice it has."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.sizes = [len(options) for options in study.choices.values()]
        self._read: dict[tuple[int, ...], Study | None] = {}

    def chosen(self, combination: tuple[int, ...]) -> dict[str, str]:
        """The options by name."""
        listed = zip(self.study.choices.items(), combination, strict=True)
        return {name: list(options)[i] for (name, options), i in listed}

    def __call__(self, combination: tuple[int, ...]) -> Study | None:
        """The study with these options; None where options that are good by themselves do not go together."""
        if not self.sizes:
            return self.study
        if combination not in self._read:
            try:
                self._read[combination] = self.study.variant(self.chosen(combination))
            except BadInput:
                self._read[combination] = None
        return self._read[combination]
