"""Units of numbers in cells: time, currencies, magnitudes, and which of them can be converted."""

from __future__ import annotations

# Unit as it is written → (its name, its dimension, its size in that dimension).
_TIME = {
    "s": ("s sec secs second seconds sek sekunden", 1 / 60),
    "min": ("m min mins minute minutes minuten minuti minutos", 1.0),
    "h": ("h hr hrs hour hours std stunde stunden heure heures ore horas", 60.0),
    "d": ("d day days tag tage", 24 * 60.0),
    "wk": ("wk wks week weeks woche wochen", 7 * 24 * 60.0),
    "mo": ("mo mos month months monat monate", 30.4375 * 24 * 60.0),
    "yr": ("yr yrs year years jahr jahre", 365.25 * 24 * 60.0),
}
_MASS = {
    "mg": ("mg", 0.001),
    "g": ("g gram grams", 1.0),
    "kg": ("kg kgs kilogram kilograms", 1000.0),
    "oz": ("oz ounce ounces", 28.349523125),
    "lb": ("lb lbs pound pounds", 453.59237),
}
_LENGTH = {
    "mm": ("mm", 0.1),
    "cm": ("cm", 1.0),
    "in": ("in inch inches", 2.54),
    "ft": ("ft foot feet", 30.48),
    "km": ("km", 100_000.0),
}
_SIZE = {
    "kb": ("kb kib", 2.0**-10),
    "mb": ("mb mib", 1.0),
    "gb": ("gb gib", 2.0**10),
}
UNITS = {
    written: (name, dimension, size)
    for dimension, units in (
        ("time", _TIME), ("mass", _MASS), ("length", _LENGTH), ("bytes", _SIZE),
    )
    for name, (words, size) in units.items()
    for written in words.split()
}  # fmt: skip
# Clock times: "1:30:00", and "1:30", which are minutes and seconds only beside the other kind.
CLOCK, SHORT_CLOCK = "h:mm:ss", "h:mm"
UNITS |= {CLOCK: (CLOCK, "time", 1.0), SHORT_CLOCK: (SHORT_CLOCK, "time", 1.0)}

SYMBOLS = "$¢£¤¥֏؋৲৳৻૱௹฿៛\u20a0-\u20c0﷼"
_CODES = (
    "usd eur gbp jpy chf cad aud nzd cny rmb inr brl mxn rub sek nok dkk pln czk huf try krw hkd sgd "
    "zar thb idr myr php twd ils aed sar uah ron bgn ars clp cop pen vnd egp ngn kes pkr bdt "
    "us$ a$ c$ ca$ au$ nz$ hk$ r$ rs kr zł kč ft euro euros dollar dollars"
)
CURRENCIES = frozenset(_CODES.split()) - {"ft"}

# Ways to write one currency: "$" is that of the United States where no other dollar is beside it.
_SAME = (
    "eur € euro euros", "usd $ us$ dollar dollars", "gbp £", "jpy ¥", "cny rmb", "inr ₹", "brl r$",
    "krw ₩", "rub ₽", "pln zł", "czk kč", "try ₺", "ils ₪", "uah ₴", "thb ฿", "vnd ₫", "aud a$ au$",
    "cad c$ ca$", "nzd nz$", "hkd hk$",
)  # fmt: skip
_CODE_OF = {written: names.split()[0] for names in _SAME for written in names.split()}

MAGNITUDES = {
    "k": 1e3, "tsd": 1e3, "thousand": 1e3, "lakh": 1e5,
    "million": 1e6, "millions": 1e6, "mio": 1e6, "mln": 1e6, "mn": 1e6, "mill": 1e6,
    "crore": 1e7, "cr": 1e7,
    "b": 1e9, "bn": 1e9, "bln": 1e9, "billion": 1e9, "billions": 1e9, "mrd": 1e9,
}  # fmt: skip
MILLION_OR_MINUTE = "m"  # "M", and "m" of a currency, are millions


def conversion(unit: str, column: str) -> float | None:
    """The factor from a cell's unit to that of its column; None where there is none.

    Examples
    --------
    >>> conversion("h", "min"), conversion("", "min"), conversion("kg", "min")
    (60.0, 1.0, None)
    """
    if unit in ("", column) or not column:
        return 1.0
    if unit == SHORT_CLOCK and column == CLOCK:
        return 1 / 60
    if is_currency(unit) and is_currency(column):
        return 1.0
    if unit not in UNITS or column not in UNITS:
        return None
    (_, mine, size), (_, other, base) = UNITS[unit], UNITS[column]
    return size / base if mine == other else None


def is_currency(unit: str) -> bool:
    """Tell whether a unit is a currency's symbol or code.

    Examples
    --------
    >>> is_currency("€"), is_currency("eur"), is_currency("min")
    (True, True, False)
    """
    return unit in CURRENCIES or (bool(unit) and unit[-1] in _SIGNS)


def currency_code(unit: str) -> str:
    """The code of a currency, however it is written; one whose code is not known stands for itself.

    Examples
    --------
    >>> currency_code("€"), currency_code("us$"), currency_code("kr")
    ('eur', 'usd', 'kr')
    """
    return _CODE_OF.get(unit, unit)


_SIGNS = frozenset("$¢£¤¥֏؋৲৳৻૱௹฿៛﷼") | {chr(code) for code in range(0x20A0, 0x20C1)}


def is_known(unit: str) -> bool:
    """Tell whether a unit means the same in every column: no word such as "pages", which a column decides.

    Examples
    --------
    >>> is_known("%"), is_known("/10"), is_known("pages")
    (True, True, False)
    """
    return not unit or unit in UNITS or unit[0] in "%/" or is_currency(unit)
