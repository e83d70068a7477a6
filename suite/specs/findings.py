"""Findings of a study: sentences in which claims in braces stand for their verdicts."""

import re
from collections.abc import Collection

from suite.specs.checking import Checker
from suite.specs.source import Node, known

_CLAIM = re.compile(r"\{([^{}]*)\}")


def claims_in(finding: str) -> list[str]:
    """The ids of the claims that a sentence names, in its order."""
    return _CLAIM.findall(finding)


def parts(finding: str) -> list[str]:
    """The text before, between and after the claims: one more than there are claims."""
    return _CLAIM.split(finding)[::2]


def check(checker: Checker, nodes: Collection[Node], claims: Collection[str]) -> None:
    """Each sentence has to name claims, which have to be among `claims`."""
    for node in nodes:
        named = claims_in(node.value)
        if not named:
            checker.wrong(
                node,
                f"finding {node.value!r} names no claim",
                "sentences with claim ids in braces",
                "write what was found as the verdict of a claim: {"
                + next(iter(claims), "ID")
                + "}",
            )
        for claim in named:
            if claim not in claims:
                wrong = f"a finding names a claim that does not exist: {claim!r}"
                checker.wrong(node, wrong, *known(claims, claim))
