"""Whether the name given with a code is one of its names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fhirserver.model.outcome import Issue, Severity
from fhirserver.terminology.composition import Member
from fhirserver.terminology.display import Name, display, in_language, names, same_text
from fhirserver.terminology.issue import issue

if TYPE_CHECKING:
    from fhirserver.terminology.validate_code import Coded

_WRONG = "Display_Name_for__should_be_one_of__instead_of"
_WRONG_SPACE = "Display_Name_WS_for__should_be_one_of__instead_of"


def name_issue(
    member: Member, coded: Coded, languages: Sequence[str], *, lenient: bool = False
) -> Issue | None:
    """What is to be said about the display of a code; None where it is right or not given."""
    given = coded.display
    known = names(member)
    if not given or not known:
        return None
    wanted = [
        name
        for name in known
        if not languages or any(in_language(name.language, item) for item in languages)
    ]
    if any(same_text(given, name.text) for name in wanted):
        return None
    severity: Severity = "warning" if lenient else "error"
    code = f"{member.url}#{member.code}"
    if not wanted:
        return _not_in_language(member, coded, known, languages, severity)
    id = _WRONG
    if any(same_text(_plain(given), _plain(name.text)) for name in wanted):
        id = _WRONG_SPACE
    spoken = ",".join(languages) or "--"
    text = (
        f"Wrong Display Name '{given}' for {code}. {_choices(wanted)} (for the language(s) "
        f"'{spoken}')"
    )
    return issue(severity, "invalid", "invalid-display", text, coded.at("display"), id)


def _not_in_language(
    member: Member,
    coded: Coded,
    known: Sequence[Name],
    languages: Sequence[str],
    severity: Severity,
) -> Issue:
    code, spoken, place = f"{member.url}#{member.code}", ",".join(languages), coded.at("display")
    if any(same_text(coded.display or "", name.text) for name in known):
        text = (
            f"There are no valid display names found for the code {code} for language(s) "
            f"'{spoken}'. The display is '{coded.display}' which is a valid display for the "
            "default language"
        )
        id = "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_OK"
        return issue("information", "invalid", "invalid-display", text, place, id)
    text = (
        f"Wrong Display Name '{coded.display}' for {code}. There are no valid display names found "
        f"for language(s) '{spoken}'. Default display is '{display(member, ())}'"
    )
    id = "NO_VALID_DISPLAY_FOUND_NONE_FOR_LANG_ERR"
    return issue(severity, "invalid", "invalid-display", text, place, id)


def _choices(wanted: Sequence[Name]) -> str:
    told = [f"'{name.text}'{f' ({name.language})' if name.language else ''}" for name in wanted]
    if len(told) == 1:
        return f"Valid display is {told[0]}"
    return f"Valid display is one of {len(told)} choices: {', '.join(told[:-1])} or {told[-1]}"


def _plain(text: str) -> str:
    return " ".join(text.split())
