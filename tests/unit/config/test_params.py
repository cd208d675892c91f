from __future__ import annotations

import pytest

from holdfast.config.params import misfit
from holdfast.model.actions import Param, ParamKind
from holdfast.model.values import Scalar

INT = Param(ParamKind.INT, minimum=1, maximum=10)
PATH = Param(ParamKind.PATH_UNDER, under="/srv/shop")
ENUM = Param(ParamKind.ENUM, values=("on", "off"))


@pytest.mark.parametrize(
    ("param", "value"),
    [
        (Param(ParamKind.UNIT_NAME), "shop@1.service"),
        (Param(ParamKind.HOST_NAME), "web1.example"),
        (Param(ParamKind.IP, never_in=("10.0.0.1",)), "10.0.0.5"),
        (Param(ParamKind.IP), "::1"),
        (PATH, "/srv/shop/a/b"),
        (INT, 1),
        (INT, 10),
        (ENUM, "on"),
        (Param(ParamKind.RELEASE_ID), "v1.2"),
        (Param(ParamKind.PATTERN, pattern="x+"), "xx"),
    ],
)
def test_a_literal_that_can_pass_is_left_to_the_binding(param: Param, value: Scalar) -> None:
    assert misfit(param, value) is None


@pytest.mark.parametrize(
    ("param", "value", "says"),
    [
        (Param(ParamKind.UNIT_NAME), "-Hroot@evil.service", "begins with -"),
        (Param(ParamKind.UNIT_NAME), "shop.service\n", "control character"),
        (Param(ParamKind.PATTERN, pattern=".*"), "a\x1b[0m", "control character"),
        (Param(ParamKind.HOST_NAME), "", "empty"),
        (Param(ParamKind.UNIT_NAME), 5, "no text"),
        (Param(ParamKind.UNIT_NAME), None, "no text"),
        (Param(ParamKind.UNIT_NAME), "a b.service", "not a unit-name"),
        (Param(ParamKind.RELEASE_ID), "../x", "not a release-id"),
        (Param(ParamKind.IP), "10.0.0.256", "not an IP address"),
        (Param(ParamKind.IP, never_in=("10.0.0.1",)), "10.0.0.1", "never_in"),
        (PATH, "/srv/shopping", "not under"),
        (PATH, "/srv/shop/../../etc", "not under"),
        (ENUM, "auto", "not one of on, off"),
        (INT, 0, "less than 1"),
        (INT, 11, "more than 10"),
        (INT, "5", "not a whole number"),
        (INT, True, "not a whole"),
        (Param(ParamKind.INT), -1, "from 0 on"),
    ],
)
def test_a_literal_that_can_never_pass_says_why(param: Param, value: Scalar, says: str) -> None:
    assert says in str(misfit(param, value))
