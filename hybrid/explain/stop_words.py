"""Which terms of a text say something to a reader: no stop words, no pieces of words."""

from __future__ import annotations

# English words of grammar: articles, pronouns, prepositions, conjunctions, auxiliary verbs, and the pieces
# that contractions leave. Scikit-learn's list also has words with a meaning ("fire", "cry", "bill"),
# which would be missed in an explanation. Other languages are left out: what is a stop word in one has a
# meaning in another ("die" and "war" in German, "son" in French).
WORDS = """
    a an the this that these those
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her
    hers herself it its itself they them their theirs themselves one ones oneself someone somebody something
    anyone anybody anything everyone everybody everything each other another others
    who whom whose which what when where why how whoever whatever whenever wherever
    and but or nor so yet if then else than because while whereas although though unless until till since as
    whether both either neither not no
    of at by for with without within about against between among amongst into onto through throughout during
    before after above below to from up upon down in out on off over under again further toward towards across
    along around behind beside besides beyond despite near per via
    am is are was were be been being have has had having do does did doing done will would shall should can
    could may might must ought cannot get gets got
    all any few more most much many several some such only own same too very just also even ever never once
    there here now still however thus therefore quite rather almost always often
    already anyhow anyway anywhere became become becomes becoming due etc every everywhere except hence indeed
    least less meanwhile moreover nevertheless nobody none nothing nowhere otherwise perhaps seem seems seemed
    seeming somehow sometime sometimes somewhere thereby well
    s t d ll m re ve don didn doesn isn aren wasn weren hasn haven hadn won wouldn shouldn couldn
"""
STOP_WORDS = frozenset(WORDS.split())
QUOTE = "'"  # around n-grams of characters


def is_telling(term: str) -> bool:
    """Whether a term of a text says something to a reader.

    Parameters
    ----------
    term : str
        A word, or several with a space between; n-grams of characters are in single quotes.

    Returns
    -------
    bool
        False for a stop word, for several words of which the first or last is one, and for an n-gram of
        characters.

    Examples
    --------
    >>> [is_telling(term) for term in ("ghost", "the", "of the", "the ghost", "war of worlds", "'gho'")]
    [True, False, False, False, True, False]
    """
    if is_piece(term):
        return False
    words = term.lower().split()
    return bool(words) and words[0] not in STOP_WORDS and words[-1] not in STOP_WORDS


def is_piece(term: str) -> bool:
    """Whether a term is an n-gram of characters, a piece of a word.

    Parameters
    ----------
    term : str

    Returns
    -------
    bool

    Examples
    --------
    >>> is_piece("'er '"), is_piece("her")
    (True, False)
    """
    return len(term) > 1 and term.startswith(QUOTE) and term.endswith(QUOTE)
