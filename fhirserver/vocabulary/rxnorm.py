"""RxNorm, from a licensee's release in RRF: `RXNCONSO.RRF`, `RXNREL.RRF`, `RXNSAT.RRF`.

https://www.nlm.nih.gov/research/umls/rxnorm/docs/techdoc.html. Only names of RxNorm itself are
read; relationships are properties with the name of what they say (`has_ingredient`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from fhirserver.terminology.concept import Concept
from fhirserver.vocabulary.table import Files
from fhirserver.vocabulary.vocabulary import Vocabulary, code_system

SYSTEM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"
_SOURCE: Final = "RXNORM"
_SYNONYMS: Final = frozenset({"SY", "TMSY", "PSN"})
_CONSO: Final = (0, 1, 11, 12, 14, 16)  # RXCUI, LAT, SAB, TTY, STR, SUPPRESS
_REL: Final = (0, 4, 7, 10)  # RXCUI1, RXCUI2, RELA, SAB


def rxnorm(path: Path, version: str) -> Vocabulary:
    """The release in a folder or .zip. Raises `NotReadable`."""
    files = Files(path)
    files.one("RXNCONSO.RRF")
    names = sorted({name for _, _, name in _relations(files)})
    system = code_system(
        "RxNorm",
        SYSTEM,
        version,
        "RxNorm",
        [
            ("TTY", "code", "The term type: IN, SCD, SBD, ..."),
            ("inactive", "boolean", "Whether the concept is suppressed"),
            *((name, "code", f"RXCUI by the relationship {name}") for name in names),
        ],
        publisher="U.S. National Library of Medicine",
        language="en",
    )
    return Vocabulary(system, _concepts(files))


def _concepts(files: Files) -> Iterator[Concept]:
    relations: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for code, target, name in _relations(files):
        relations[code].append((name, target))
    terms: dict[str, list[tuple[bool, str, str, str]]] = defaultdict(list)
    for code, language, source, type, text, suppressed in files.pipes(
        files.one("RXNCONSO.RRF"), _CONSO
    ):
        if source == _SOURCE and language == "ENG":
            terms[code].append((type in _SYNONYMS, suppressed, type, text))
    for code, names in terms.items():
        names.sort(key=lambda item: (item[0], item[1] != "N"))
        _, suppressed, type, display = names[0]
        data: dict[str, Any] = {
            "code": code,
            "property": [
                {"code": "TTY", "valueCode": type},
                {"code": "inactive", "valueBoolean": suppressed in ("O", "Y", "E")},
                *({"code": name, "valueCode": to} for name, to in relations.get(code, ())),
            ],
        }
        others = [{"language": "en", "value": text} for _, _, _, text in names if text != display]
        if others:
            data["designation"] = others
        yield Concept(code, display, (), data)


def _relations(files: Files) -> Iterator[tuple[str, str, str]]:
    """Concept, its counterpart and the name of what the counterpart is to it.

    In RRF the second concept has the relationship to the first.
    """
    for name in files.find("RXNREL.RRF"):
        for first, second, relation, source in files.pipes(name, _REL):
            if source == _SOURCE and first and second and relation:
                yield second, first, relation
