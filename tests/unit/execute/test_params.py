from __future__ import annotations

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import PlanError
from holdfast.execute.params import MAX_CHARS, check
from holdfast.model.actions import Param, ParamKind
from holdfast.model.values import Scalar

UNIT = Param(ParamKind.UNIT_NAME)
HOST = Param(ParamKind.HOST_NAME)
IP = Param(ParamKind.IP)
PATH = Param(ParamKind.PATH_UNDER, under="/srv/app")
PERCENT = Param(ParamKind.INT, minimum=1, maximum=100)
COLOUR = Param(ParamKind.ENUM, values=("blue", "green"))
RELEASE = Param(ParamKind.RELEASE_ID)
PATTERN = Param(ParamKind.PATTERN, pattern="[a-z]+(/[a-z]+)*")

HOSTILE = [
    "-Hroot@evil.service",
    "--help",
    "-",
    "",
    "nginx.service\n",
    "\nnginx.service",
    "nginx.service\0",
    "nginx.service; reboot",
    "$(touch x).service",
    "`reboot`.service",
    "nginx.service nginx.service",
    " nginx.service",
    "nginx.service ",
    "*.service",
    "nginx.servicé",
    "nginx\u202e.service",
    "nginx\u2028.service",
    "nginx\ud800.service",
    "a" * 300 + ".service",
]


@pytest.mark.parametrize(
    "name",
    ["nginx.service", "app@1.service", "app@a@b.service", "dev-sda.device", "a.b.c.timer", "x\\x2dy.mount"],
)
def test_a_unit_name_of_systemds_grammar_passes(name: str) -> None:
    assert check("unit", UNIT, name) == name


@pytest.mark.parametrize(
    "name", [*HOSTILE, "nginx", "nginx.", ".service", "app@.service", "@1.service", "nginx.conf"]
)
def test_anything_else_is_no_unit_name(name: str) -> None:
    with pytest.raises(PlanError, match="unit"):
        check("unit", UNIT, name)


@pytest.mark.parametrize("name", ["web1", "db.internal", "a-b.example.com", "10.0.0.5", "x" * 63])
def test_host_names_pass(name: str) -> None:
    assert check("host", HOST, name) == name


@pytest.mark.parametrize(
    "name",
    [*HOSTILE, "a..b", "a.b.", "-a.b", "a-.b", "a_b", "x" * 64, ".".join(["x" * 60] * 5), "a/b", "ü.de"],
)
def test_anything_else_is_no_host_name(name: str) -> None:
    with pytest.raises(PlanError):
        check("host", HOST, name)


@pytest.mark.parametrize(
    ("text", "normal"),
    [("10.0.0.5", "10.0.0.5"), ("2001:DB8::0:1", "2001:db8::1"), ("::ffff:10.0.0.5", "::ffff:10.0.0.5")],
)
def test_ip_addresses_come_out_in_their_normal_form(text: str, normal: str) -> None:
    assert ipaddress.ip_address(check("ip", IP, text)) == ipaddress.ip_address(normal)


@pytest.mark.parametrize(
    "text", [*HOSTILE, "10.0.0", "010.0.0.5", "10.0.0.5/24", "10.0.0.256", "fe80::1%eth0", "fe80::1%;reboot"]
)
def test_anything_else_is_no_ip_address(text: str) -> None:
    with pytest.raises(PlanError):
        check("ip", IP, text)


@pytest.mark.parametrize("text", ["10.0.0.5", "10.1.2.3", "::ffff:10.0.0.5", "2001:db8::1"])
def test_an_address_in_never_in_is_refused_however_it_is_written(text: str) -> None:
    spec = Param(ParamKind.IP, never_in=("10.0.0.5", "10.1.0.0/16", "db.internal", "2001:DB8:0::1"))

    with pytest.raises(PlanError, match="never_in"):
        check("ip", spec, text)


def test_an_address_outside_of_never_in_passes() -> None:
    spec = Param(ParamKind.IP, never_in=("10.0.0.5", "db.internal"))

    assert check("ip", spec, "10.0.0.6") == "10.0.0.6"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("/srv/app/current", "/srv/app/current"),
        ("/srv/app//a/./b/", "/srv/app/a/b"),
        ("//srv/app/a", "/srv/app/a"),
        ("/srv/app/...", "/srv/app/..."),
        ("/srv/app/with space", "/srv/app/with space"),
    ],
)
def test_a_path_below_its_root_comes_out_in_its_normal_form(text: str, normal: str) -> None:
    assert check("path", PATH, text) == normal


@pytest.mark.parametrize(
    "text",
    [
        "/srv/app",
        "/srv/app/",
        "/srv/app/.",
        "/srv/application/x",
        "/srv/app/../../etc/passwd",
        "/srv/app/a/..",
        "srv/app/x",
        "current",
        "/etc/passwd",
        "/srv/app/a\n",
        "",
        "-/srv/app/x",
    ],
)
def test_a_path_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(PlanError):
        check("path", PATH, text)


def test_a_root_may_be_written_with_a_slash_at_its_end() -> None:
    assert check("path", Param(ParamKind.PATH_UNDER, under="/srv/app/"), "/srv/app/x") == "/srv/app/x"
    assert check("path", Param(ParamKind.PATH_UNDER, under="/"), "/x") == "/x"


@pytest.mark.parametrize(("value", "text"), [(1, "1"), (100, "100"), ("42", "42")])
def test_whole_numbers_in_range_pass(value: Scalar, text: str) -> None:
    assert check("percent", PERCENT, value) == text


@pytest.mark.parametrize(
    "value",
    [
        0,
        101,
        -1,
        True,
        1.0,
        None,
        "0",
        "101",
        "-1",
        "+1",
        "1.0",
        "042",
        "1e1",
        "٣",
        "5\n",
        " 5",
        "",
        "9" * 30,
    ],
)
def test_other_values_are_no_number_of_that_range(value: Scalar) -> None:
    with pytest.raises(PlanError):
        check("percent", PERCENT, value)


def test_zero_passes_where_no_minimum_forbids_it() -> None:
    assert check("n", Param(ParamKind.INT), 0) == "0"


def test_only_the_listed_values_of_an_enum_pass() -> None:
    assert check("colour", COLOUR, "blue") == "blue"
    for wrong in ("Blue", "blue\n", "", "red", "blue,green"):
        with pytest.raises(PlanError):
            check("colour", COLOUR, wrong)


def test_release_ids_pass() -> None:
    for text in ("v1.2.3", "2026-11-22_1", "a" * 128, "0"):
        assert check("release", RELEASE, text) == text


@pytest.mark.parametrize("text", ["a" * 129, ".hidden", "_x", "v1/2", "v1 2", "v1\n", "..", "v1;x"])
def test_anything_else_is_no_release_id(text: str) -> None:
    with pytest.raises(PlanError):
        check("release", RELEASE, text)


def test_a_pattern_has_to_match_the_whole_value() -> None:
    assert check("p", PATTERN, "a/b/c") == "a/b/c"
    for wrong in ("a/b/", "a/b\n", "A", "x a/b", "a/b;"):
        with pytest.raises(PlanError):
            check("p", PATTERN, wrong)


def test_a_pattern_that_allows_alternatives_is_still_matched_as_a_whole() -> None:
    with pytest.raises(PlanError):
        check("p", Param(ParamKind.PATTERN, pattern="good|[a-z]{2}"), "goodbye")


def test_a_pattern_that_would_backtrack_for_ever_answers_at_once() -> None:
    with pytest.raises(PlanError):
        check("p", Param(ParamKind.PATTERN, pattern="(a+)+"), "a" * 1000 + "b")


def test_a_pattern_that_re2_does_not_take_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match="RE2"):
        check("p", Param(ParamKind.PATTERN, pattern="(?=x)x"), "x")


@pytest.mark.parametrize("pattern", [".*", r"[\s\S]*", "(?s).*"])
@pytest.mark.parametrize(
    "text", ["-x", "a\nb", "a\n", "a\0", "a\tb", "a\x7f", "a\u202eb", "a\xa0b", "a" * (MAX_CHARS + 1), ""]
)
def test_not_even_a_pattern_that_takes_all_lets_these_through(pattern: str, text: str) -> None:
    with pytest.raises(PlanError):
        check("p", Param(ParamKind.PATTERN, pattern=pattern), text)


def test_a_value_in_never_in_is_refused() -> None:
    with pytest.raises(PlanError, match="never_in"):
        check("unit", Param(ParamKind.UNIT_NAME, never_in=("sshd.service",)), "sshd.service")


@pytest.mark.parametrize("kind", [kind for kind in ParamKind if kind is not ParamKind.INT])
@pytest.mark.parametrize("value", [None, True, 5, 5.0])
def test_what_is_no_text_is_refused_as_text(kind: ParamKind, value: Scalar) -> None:
    spec = Param(kind, under="/srv", values=("5", "True"), pattern=".*")

    with pytest.raises(PlanError, match="no text"):
        check("x", spec, value)


def test_the_message_shows_a_hostile_value_harmlessly_and_bounded() -> None:
    with pytest.raises(PlanError) as caught:
        check("unit", UNIT, "\x1b[31m" + "é" * 500)

    text = str(caught.value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 250


ANY = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=60))
SPECS = st.sampled_from(
    [UNIT, HOST, IP, PATH, PERCENT, COLOUR, RELEASE, Param(ParamKind.PATTERN, pattern="(?s).*")]
)


@given(SPECS, ANY)
def test_whatever_passes_is_one_harmless_word(spec: Param, value: Scalar) -> None:
    try:
        text = check("x", spec, value)
    except PlanError:
        return

    assert text
    assert not text.startswith("-")
    assert text.isprintable()
    assert not re.search(r"[\x00-\x1f\x7f]", text)
    text.encode()


@given(st.text(alphabet="abc./-", max_size=30))
def test_no_path_ever_leaves_its_root(tail: str) -> None:
    try:
        text = check("path", PATH, "/srv/app/" + tail)
    except PlanError:
        return

    assert text.startswith("/srv/app/")
    assert ".." not in text.split("/")
