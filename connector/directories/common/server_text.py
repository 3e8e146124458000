"""A server's own words, as far as they can be shown: they may repeat a password, of this request or of any other.

A server echoes what it refuses, what it held before, and what others hold, in any spelling.
Nobody can list all of it. So only words of a closed list are shown, names that the caller
knows, and numbers of at most three digits. What stands in quotes or brackets is shown only
where it is such a name. What shares four characters with a secret never is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from connector.model import Value
from connector.net.quoting import list_spellings

SHOWN = 200
"""Characters of a server's words that are shown at most."""
READ = 4_000
"""Characters of them that are looked at."""
LEFT_OUT = "…"
_PIECE = 4
"""A word that has so many characters running in common with a secret is left out."""
_LONGEST = 2_000
"""Characters of one secret whose pieces are looked for."""
BETWEEN = re.compile(
    r"[-./:,;'\"`()\[\]{}<>=|!?#*_+&\u3001\u3002«»\u2018\u2019\u201c\u201d\u300c\u300d]+"
)
_ENCLOSED = re.compile(
    r"""\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|<[^<>]*>|[«\u201c\u2018\u300c][^»\u201d\u2019\u300d]*[»\u201d\u2019\u300d]|"[^"]*"|`[^`']*[`']|(?<!\w)'[^']*'(?!\w)"""
)
_LIST = """
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
_WORDS = frozenset(_LIST.split())
_JSON = ("{", "}", '":')
"""What marks a word as a part of a document."""
_SECRET = re.compile(
    r"pwd|passw|pass\b|secret|credential|token|pin\b|key\b", re.IGNORECASE
)
"""What names a secret: a number behind it is left out, and any word behind it and a colon
or an equals sign."""
_ASSIGNED = re.compile(rf"(?:{_SECRET.pattern})\w*\W*[:=]\W*\w", re.IGNORECASE)
_SHORT_FORM = re.compile(
    r"(?<=[a-z])['\u2019](?:s|t|re|ll)\b|\be(?=-mail)", re.IGNORECASE
)


def select_shown_words(
    text: str, secrets: Iterable[Value], known_words: Iterable[str]
) -> str:
    """What of a server's words can be shown, in one bounded line; empty where little of it can.

    `secrets`: what the server must not be heard repeating, such as the values of the request. `known_words`: names that
    it may speak of, in any case, such as attribute names and paths.
    """
    pieces = _cut_secrets(secrets)
    names = {
        part for name in known_words for part in _split_words(name) if len(part) > 1
    }
    names |= {name.lower() for name in names}
    shown: list[str] = []
    before = ""
    bare = _ENCLOSED.sub(lambda found: _show_enclosed(found[0], names), text[:READ])
    for word in bare.split():
        if _is_harmless(word, before, pieces, names):
            shown.append(word)
        elif shown[-1:] != [LEFT_OUT]:
            shown.append(LEFT_OUT)
        before = word
    # an echo with words around it is not worth a line
    line = " ".join(shown) if 2 * shown.count(LEFT_OUT) < len(shown) else ""
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + LEFT_OUT


def _split_words(text: str) -> list[str]:
    return [part for part in BETWEEN.split(text) if part]


def _show_enclosed(found: str, names: Collection[str]) -> str:
    """What stands in quotes or brackets: as it is where all of it is names."""
    parts = _split_words(found.replace(" ", ","))
    is_named = parts and all(_is_name(part, names) for part in parts)
    return found if is_named else f" {LEFT_OUT} "


def _is_harmless(
    word: str, before: str, pieces: frozenset[str], names: Collection[str]
) -> bool:
    """Whether a word can be shown that stands behind another."""
    parts = _split_words(_SHORT_FORM.sub("", word))
    has_digit = any(each.isdigit() for each in word)
    is_behind_secret = _SECRET.search(before) and (has_digit or before[-1] in ":=")
    is_spelt_out = len(before) == 1 and has_digit
    if not parts or any(mark in word for mark in _JSON) or _ASSIGNED.search(word):
        return False
    if is_behind_secret or is_spelt_out:
        return False
    if not pieces.isdisjoint(map(str.lower, (*_cut_pieces(word, _PIECE), *parts))):
        return False
    return all(_is_name(part, names) or _is_listed(part) for part in parts)


def _is_name(part: str, names: Collection[str]) -> bool:
    """Whether it is a known name, in its own spelling but perhaps for the first letter, or in one case."""
    uncapitalised = part[:1].lower() + part[1:]
    is_spelt = part in names or uncapitalised in names
    return is_spelt or (_is_plain(part) and part.lower() in names)


def _is_listed(part: str) -> bool:
    """Whether it is a word of the list, or a short number."""
    if part.isdigit():
        return part.isascii() and len(part) < _PIECE
    return _is_plain(part) and part.lower() in _WORDS


def _is_plain(part: str) -> bool:
    """Whether its letters are of one case, but perhaps for the first."""
    return part[1:] == part[1:].lower() or part == part.upper()


def _cut_pieces(text: str, size: int) -> list[str]:
    """Every piece of so many characters; the text itself where it is shorter."""
    ends = range(size, len(text) + 1)
    return [text[end - size : end] for end in ends] or [text]


def _cut_secrets(secrets: Iterable[Value]) -> frozenset[str]:
    """Secrets in every spelling, cut into pieces; one that is shorter stands for itself, and so do numbers in one."""
    found: set[str] = set()
    for secret in secrets:
        for spelt in list_spellings(secret[:_LONGEST]):
            found.update(_cut_pieces(spelt.lower(), _PIECE))
        plain = secret if isinstance(secret, str) else secret.decode("utf-8", "replace")
        for digits in re.findall("[0-9]{2,}", plain[:_LONGEST]):
            found.update(_cut_pieces(digits, 2) + _cut_pieces(digits, 3))
    return frozenset(found)
