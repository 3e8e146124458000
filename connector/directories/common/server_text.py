"""A server's own words, as far as they can be shown: they may repeat a password, of this request or of any other.

A server echoes what it refuses, what it held before, and what others hold, in any spelling.
Nobody can list all of it. So only words of a closed list are shown, names that the caller
knows, and numbers of at most three digits. What stands in quotes or brackets is shown only
where it is such a name. What shares four characters with a secret never is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from connector.model import Value
from connector.net.quoting import spellings

SHOWN: Final = 200
"""Characters of a server's words that are shown at most."""
READ: Final = 4_000
"""Characters of them that are looked at."""
LEFT_OUT: Final = "…"
_PIECE: Final = 4
"""A word that has so many characters running in common with a secret is left out."""
_LONGEST: Final = 2_000
"""Characters of one secret whose pieces are looked for."""
BETWEEN: Final = re.compile(
    r"[-./:,;'\"`()\[\]{}<>=|!?#*_+&\u3001\u3002«»\u2018\u2019\u201c\u201d\u300c\u300d]+"
)
_ENCLOSED: Final = re.compile(
    r"""\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|<[^<>]*>|[«\u201c\u2018\u300c][^»\u201d\u2019\u300d]*[»\u201d\u2019\u300d]|"[^"]*"|`[^`']*[`']|(?<!\w)'[^']*'(?!\w)"""
)
_LIST: Final = """
a about above accept accepted accepts access account accounts active add added adding additional address
administrative administrator after again alias all allow allowed allows already also always an and anonymous another
any application applied apply are argument array arrays as assertion assign assigned at attempt attempted attempts
attribute attributes authentication authorization authorized auxiliary available away backend bad base be because been
before being below between binary bind binding blank body boolean both bound busy but by call called can cannot case
cause certificate change changed changes changing character characters check checked checking checks class classes
client code combination complex complexity confidentiality conflict conflicts connection consist consists constraint
constraints contact contain contained containing contains content control controls conversion convert correct
correctly could create created creating credential credentials critical current cursor data database date days decimal
decode default define defined definition delete deleted deleting denied deny details dictionary did different digit
digits directory disabled disallowed do does doesn don done duplicate duplicated duplicates each either element
elements empty enabled encoding end endpoint enough enterprise entries entry equal equality error errors exact exactly
exceed exceeded exceeds exception exclusive exist existing exists expect expected expects expired expression extension
external fail failed fails failure false field fields filter filters find first following for forbidden form format
found from future general get given go greater group groups had has have header headers here high higher history hour
hours how http https id identical identifier if ignored illegal immutable in inactivated incorrect incorrectly index
indexed information input insert insufficient integer internal invalid is isn it item items its join json key keys
kind large last later ldap least leave length less letter letters level like limit limited limits line list locked
lockout long longer looks loop lower lowercase mail make malformed managed mandatory many match matched matches
matching maximum may media member members message method minimum minute minutes missing modification modifications
modified modify more most multi multiple multivalued must mutability name named names naming need needed needs new
newer next no non none nor not nothing now null number numbers numeral numeric object objects occurred occurs of off
old older on once one only operation operations operator or order other our out outside over page parameter parameters
parent parse part partial pass password passwords patch path paths pattern per perform performed permission
permissions permit permitted please plugin policy possible post prefix present prevented previous primary problem
processed processing profile prohibited property protected provide provided put quality quota range rate reach reached
read readable readonly readwrite reason reasons recent recently reference referral refused regular reject rejected
remove removed removing repeated replace replaced replacing request requested requests require required requires
reserved resource resources response restricted restriction restrictions resubmit result retry return returned returns
reuse reused rfc right rights rule rules same schema schemas scim search searches searching seconds secret see seems
send sent server service set several short shorter should sign simple single singular size some something space spaces
special specified standard start state status still string strings structural sub subtree such suffix superior
supplied supply support supported supports symbol symbols syntax system take taken target temporarily tenant than that
the their them then there these they this those time times to token tokens too true try twice two type types unable
unauthorized unavailable undefined unexpected unindexed unique uniqueness unknown unprocessable unsupported until
unwilling update updated updates updating upper uppercase uri url urn use used user users uses using utc utf uuid
valid validate validated validation validator value values version versions violate violated violates violation
violations was way we weak well were what when where whether which while whitespace who whole will with within without
word words would writable write writeonly wrong xml yet you your zero
"""
_WORDS: Final = frozenset(_LIST.split())
_JSON: Final = ("{", "}", '":')
"""What marks a word as a part of a document."""
_SECRET: Final = re.compile(
    r"pwd|passw|pass\b|secret|credential|token|pin\b|key\b", re.IGNORECASE
)
"""What names a secret: a number behind it is left out, and any word behind it and a colon
or an equals sign."""
_ASSIGNED: Final = re.compile(rf"(?:{_SECRET.pattern})\w*\W*[:=]\W*\w", re.IGNORECASE)
_SHORT_FORM: Final = re.compile(
    r"(?<=[a-z])['\u2019](?:s|t|re|ll)\b|\be(?=-mail)", re.IGNORECASE
)


def told(text: str, secrets: Iterable[Value], known_words: Iterable[str]) -> str:
    """What of a server's words can be shown, in one bounded line; empty where little of it can.

    `secrets`: what the server must not be heard repeating, such as the values of the request. `known_words`: names that
    it may speak of, in any case, such as attribute names and paths.
    """
    pieces = _cut_secrets(secrets)
    spelt = {
        part for name in known_words for part in BETWEEN.split(name) if len(part) > 1
    }
    names = frozenset((*spelt, *map(str.lower, spelt)))
    shown: list[str] = []
    before = ""
    for word in _ENCLOSED.sub(
        lambda found: _show_enclosed(found[0], names), text[:READ]
    ).split():
        if _is_harmless(word, before, pieces, names):
            shown.append(word)
        elif shown[-1:] != [LEFT_OUT]:
            shown.append(LEFT_OUT)
        before = word
    if 2 * shown.count(LEFT_OUT) >= len(
        shown
    ):  # an echo with words around it: not worth a line
        return ""
    line = " ".join(shown)
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + LEFT_OUT


def _show_enclosed(found: str, names: Collection[str]) -> str:
    """What stands in quotes or brackets: as it is where all of it is names."""
    parts = [part for part in BETWEEN.split(found.replace(" ", ",")) if part]
    return (
        found
        if parts and all(_is_name(part, names) for part in parts)
        else f" {LEFT_OUT} "
    )


def _is_harmless(
    word: str, before: str, pieces: frozenset[str], names: Collection[str]
) -> bool:
    """Whether a word can be shown that stands behind another."""
    lower = word.lower()
    parts = [part for part in BETWEEN.split(_SHORT_FORM.sub("", word)) if part]
    cut = [lower[at : at + _PIECE] for at in range(max(len(lower) - _PIECE, 0) + 1)]
    if (
        not parts
        or any(mark in word for mark in _JSON)
        or not pieces.isdisjoint((*cut, *map(str.lower, parts)))
    ):
        return False
    if _ASSIGNED.search(word) or (
        _SECRET.search(before) and (before[-1] in ":=" or _has_digit(word))
    ):
        return False
    if len(before) == 1 and _has_digit(word):  # spelt out
        return False
    return all(
        _is_name(part, names)
        or _is_number(part)
        or (_is_plain(part) and part.lower() in _WORDS)
        for part in parts
    )


def _has_digit(word: str) -> bool:
    return any(each.isdigit() for each in word)


def _is_name(part: str, names: Collection[str]) -> bool:
    """Whether it is a known name, in its own spelling but perhaps for the first letter, or in one case."""
    return not {part, part[:1].lower() + part[1:]}.isdisjoint(names) or (
        _is_plain(part) and part.lower() in names
    )


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < _PIECE


def _is_plain(part: str) -> bool:
    """Whether its letters are of one case, but perhaps for the first."""
    return part[1:] == part[1:].lower() or part == part.upper()


def _cut_secrets(secrets: Iterable[Value]) -> frozenset[str]:
    """Secrets in every spelling, cut into pieces; one that is shorter stands for itself, and so do numbers in one."""
    values = {value[:_LONGEST] for value in secrets if value}
    spelt = {each.lower() for value in values for each in spellings(value)}
    plain = {
        value if isinstance(value, str) else value.decode("utf-8", "replace")
        for value in values
    }
    return frozenset(
        each[at : at + _PIECE]
        for each in spelt
        for at in range(max(len(each) - _PIECE, 0) + 1)
    ) | frozenset(
        run[at:end]
        for value in plain
        for run in re.findall(r"[0-9]+", value)
        for at in range(len(run))
        for end in (at + 2, at + 3)
        if end <= len(run)
    )
