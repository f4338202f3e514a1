"""Which terms of a text say something to a reader: no stop words, no pieces of words."""

from __future__ import annotations

from hybrid.utils.scripts import fold_text, has_unspaced_script, split_characters

# English words of grammar: articles, pronouns, prepositions, conjunctions, auxiliary verbs, and the pieces
# that contractions leave. Scikit-learn's list also has words with a meaning ("fire", "cry", "bill"),
# which would be missed in an explanation. Other languages in Latin letters are left out: what is a stop word
# in one has a meaning in another ("die" and "war" in German, "son" in French).
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
# Of scripts that tell the language, or whose languages share words of grammar: Russian and its neighbours,
# Greek, Hebrew, Arabic, Persian, Hindi, Korean, Thai, Chinese, Japanese.
OTHER_SCRIPTS = """
    и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только ее мне было
    вот от меня
    еще нет о из ему когда даже ну вдруг ли если уже или ни быть был него до вас опять уж вам ведь там
    потом себя
    ничего ей может они тут где есть надо ней для мы тебя их чем была сам чтоб без будто чего раз тоже
    себе под
    будет ж тогда кто этот того потому этого какой совсем ним здесь этом один почти мой тем чтобы нее
    были куда
    зачем всех при об это эта эти свой свою своей своего который которая которые которого після та й що
    як але
    від із є цей ця це він вона вони його її їх для про та
    ο η το οι τα του της των τον την και κι κ να σε με για απο στο στη στον στην στα στις στους που πως
    δεν θα ειναι
    ενα ενας μια αυτο αυτος αυτη τους τις ως οταν αν η αλλα οτι μετα προς κατα
    של את על אל הוא היא הם הן אני אתה זה זו לא כי אם או גם עם כל מה יש אין אשר כמו אבל רק עד בין לפני
    אחרי
    في من على الي عن مع هذا هذه ذلك التي الذي هو هي هم ان كان كانت لا ما لم لن او ثم بعد قبل كل قد و به
    له
    از به با که این ان را است در برای تا یک بر هم می خود او نیز شد شده
    का के की को में से है हैं और एक यह वह इस उस पर भी ने तो ही कि जो कर हो था थी थे लिए अपने अपनी अपना
    साथ नहीं
    그 이 저 것 수 등 및 또는 그리고 그러나 하지만 그는 그녀는 그의 그녀의 그들은 한 두 더 잘 위해 대한
    함께
    ที่ และ ของ ใน เป็น มี ได้ ให้ กับ จะ ไม่ ว่า แต่ จาก โดย นี้ นั้น ก็ คือ ซึ่ง เมื่อ หรือ ไป มา ต้อง
    的 了 和 是 在 与 與 他 她 它 们 們 我 你 这 這 那 有 不 也 就 都 而 及 被 把 从 從 对 對 为 為 以
    于 於 之 其 但 或
    个 個 着 著 到 由 并 並 却 卻 又 还 還 等 让 讓 所 则 則 吗 嗎 呢 吧
    の は が を に で と も へ や か な た て だ し れ る い う く り す せ さ ら り ま き け こ そ え
    お あ つ め よ ん っ
    これ それ この その ある いる する した して から まで など こと もの ため よう です ます
"""
STOP_WORDS = frozenset(WORDS.split())
_OTHER_STOP_WORDS = frozenset(map(fold_text, OTHER_SCRIPTS.split()))
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
        characters in quotes. In a script without spaces, what consists of stop words is one.

    Examples
    --------
    >>> [is_telling(term) for term in ("鬼", "鬼的", "的", "的是", "призрак", "из")]
    [True, True, False, False, True, False]
    >>> [is_telling(term) for term in ("ghost", "the", "of the", "the ghost", "war of worlds", "'gho'")]
    [True, False, False, False, True, False]
    """
    if is_piece(term):
        return False
    words = term.lower().split()
    return bool(words) and not _is_stop_word(words[0]) and not _is_stop_word(words[-1])


def _is_stop_word(word: str) -> bool:
    if word in STOP_WORDS or word in _OTHER_STOP_WORDS:
        return True
    return has_unspaced_script(word) and _OTHER_STOP_WORDS.issuperset(split_characters(word))


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
