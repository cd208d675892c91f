from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.config.references import (
    BadReference,
    duration,
    json_path,
    literal,
    reference,
    secret,
    text,
    value,
)
from holdfast.model.values import DAY, HOUR, MINUTE, SECOND, Millis, Ref, Scalar, Secret, Text, Value


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("500ms", 500),
        ("10s", 10 * SECOND),
        ("5m", 5 * MINUTE),
        ("1h", HOUR),
        ("2d", 2 * DAY),
        ("3660d", 3660 * DAY),
    ],
)
def test_a_duration_has_a_unit(written: str, span: Millis) -> None:
    assert duration(written) == span


@pytest.mark.parametrize(
    "written",
    ["10", "0s", "1m30s", "10 s", "-5m", "1.5h", "5M", "", "s", "3661d", "999999999d", "5m\n", "٣m"],
)
def test_anything_else_is_no_duration(written: str) -> None:
    with pytest.raises(BadReference, match="is not a duration"):
        duration(written)


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("", ()),
        ("plain", ("plain",)),
        ("$service.name is down", (Ref("service", ("name",)), " is down")),
        ("fails ($probe.data.status).", ("fails (", Ref("probe", ("data", "status")), ").")),
        (
            "$a.b, $a.c-; $a.d: $a.e!",
            (Ref("a", ("b",)), ", ", Ref("a", ("c",)), "-; ", Ref("a", ("d",)), ": ", Ref("a", ("e",)), "!"),
        ),
        ("$a.b's", (Ref("a", ("b",)), "'s")),
        ("$a.b...", (Ref("a", ("b",)), "...")),
        ("5 $$ and $$a.b", ("5 $ and $a.b",)),
        ("$$$a.b", ("$", Ref("a", ("b",)))),
        ('$p.labels["app.kubernetes.io/name"]!', (Ref("p", ("labels", "app.kubernetes.io/name")), "!")),
        ("$shop-probe.data.x_y", (Ref("shop-probe", ("data", "x_y")),)),
    ],
)
def test_a_text_is_cut_at_its_references(template: str, parts: tuple[str | Ref, ...]) -> None:
    assert text(template) == Text(parts)


@pytest.mark.parametrize("template", ["costs 5$", "$ 5", "$5", "$Alias.x", "$"])
def test_a_lone_dollar_says_how_to_write_one(template: str) -> None:
    with pytest.raises(BadReference, match=r"write \$\$ for a dollar sign"):
        text(template)


@pytest.mark.parametrize("read", [text, value, reference])
def test_a_reference_cannot_reach_into_a_list(read: Callable[[str], object]) -> None:
    with pytest.raises(BadReference, match="reaches into a list"):
        read("$probe.data.items[0]")


@given(st.text())
def test_a_text_without_references_comes_back(plain: str) -> None:
    assert "".join(str(part) for part in text(plain.replace("$", "$$")).parts) == plain


@given(st.text(alphabet=st.sampled_from(list('$ab.-_[]"0 ')), max_size=20))
def test_any_text_is_read_or_refused(template: str) -> None:
    try:
        found = text(template)
    except BadReference:
        return

    assert all(part for part in found.parts)


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("$service.unit", Ref("service", ("unit",))),
        ("$unit", Ref("unit")),
        ("shop.service", "shop.service"),
        ("5 $$", "5 $"),
        ("$$x", "$x"),
        (5, 5),
        (None, None),
        (True, True),
    ],
)
def test_a_parameter_is_a_literal_or_one_whole_reference(item: Scalar, found: Value) -> None:
    assert value(item) == found


@pytest.mark.parametrize("item", ["app-$service.name", "$service.name.", "$a.b $c.d", "--unit=$unit", "x$"])
def test_a_reference_never_mixes_with_text(item: str) -> None:
    with pytest.raises(BadReference):
        value(item)


def test_a_constant_is_no_reference() -> None:
    assert literal("5 $$") == "5 $"
    with pytest.raises(BadReference, match="a constant belongs here"):
        literal("$probe.service")


@pytest.mark.parametrize("item", ["probe.x", "$", "$probe.", "$probe..x", "$probe.x y", "$probe.x\n", "$1"])
def test_a_whole_reference_has_its_form(item: str) -> None:
    with pytest.raises(BadReference, match="is not a reference"):
        reference(item)


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ("$", ()),
        ("$.id", ("id",)),
        ("$.data.items[0].id", ("data", "items", 0, "id")),
        ('$["a b"].c', ("a b", "c")),
        ('$.labels["app.kubernetes.io/name"]', ("labels", "app.kubernetes.io/name")),
        ('$["0"][1]', ("0", 1)),
    ],
)
def test_a_json_path_is_keys_and_indexes(item: str, path: tuple[str | int, ...]) -> None:
    assert json_path(item) == path


@pytest.mark.parametrize(
    "item", ["id", "$id", "$..id", "$.*", "$.a[*]", "$.a[?(@.b)]", "$.a[-1]", "$.", "$.a b", "$.a\n"]
)
def test_the_rest_of_json_path_is_refused(item: str) -> None:
    with pytest.raises(BadReference, match="is not a JSONPath"):
        json_path(item)


def test_a_secret_is_known_by_name() -> None:
    assert secret("$secret.mail-url") == Secret("mail-url")
