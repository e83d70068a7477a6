"""Numbers as the report writes them."""

from suite.stats.verdicts import AtScale, Verdict, in_words


def number(value: float | None) -> str:
    """A number as in reasons, with a real minus sign; a dash for None."""
    return "–" if value is None else in_words(value).replace("-", "−")


def seen(observed: float | None) -> str:
    """An observed value, which is None when it is infinite: that of seeds that diverged."""
    return "infinite" if observed is None else number(observed)


def interval(low: float | None, high: float | None, *, assumed: bool = False) -> str:
    """Both ends of an interval, None for one that is open; an assumed range says that it is one."""
    if low is None and high is None:
        return "no interval"
    ends = ("open" if end is None else number(end) for end in (low, high))
    return f"{'assumed ' if assumed else ''}[{', '.join(ends)}]"


def observed(one: Verdict | AtScale, *, assumed: bool = False) -> str:
    """What was observed, with its interval; a dash where nothing was."""
    if one.seen is None:
        return "–"
    return f"{seen(one.observed)} {interval(one.low, one.high, assumed=assumed)}"


def percent(share: float | None) -> str:
    """A share as a percentage of two significant digits; a dash for None."""
    if share is None:
        return "–"
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.2g} %"


def confidence(value: float) -> str:
    """A confidence as a percentage, its error rate to two digits, so that none is 100 %."""
    return f"{100 - float(f'{100 * (1 - value):.2g}'):.6g} %"


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, in about two digits."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
