"""What comes back from people and hosts: reply words and receipts."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from tests.proof.prove import Tally, prove, slips

from holdfast.errors import ConnectorError
from holdfast.execute import receipt
from holdfast.execute.receipt import HEAD_BYTES, TAIL_BYTES
from holdfast.gate import reply

NONCE = "0123456789abcdef"
CHOICES = ("roll-back", "wait", "Ja", "deny 2")


def test_replies(tally: Callable[[str], Tally]) -> None:
    good = ["roll-back", "roll-back 7KQ4-MX", "wait 7kq4mx", "DENY", "deny 2 7KQ4-MX", "ja"]
    pieces = [
        " ",
        "  ",
        "-",
        "\u2013",
        "\u00a0",
        "\u200b",
        "\u0130",
        "\uff41",
        "\n",
        "\x00",
        ".",
        "!",
        "7",
        "not ",
        "\u202e",
        "x" * 121,
    ]

    def parse(text: str) -> bool:
        found = reply.parse(text, CHOICES)
        if found is None:
            return False
        assert found.choice in {*CHOICES, reply.DENY}
        assert len(text) <= reply.TEXT_MAX
        assert found.code is None or (len(found.code) == 6 and found.code.isascii() and found.code.isalnum())
        return True

    prove(tally("gate.reply: reply words"), slips(good, pieces, most=1), parse, thousands=60)


def test_receipts(tally: Callable[[str], Tally]) -> None:
    fields = (
        b"state=ended\nhere=b\nnow=100.00\nboot=b\nbegun=90.5\nended=99\nexit=0\n"
        b"killed=0\nskipped=0\nheld=0\nleft=0\n"
    )
    end = b"\nholdfast 0123456789abcdef end\n"
    good = [
        b"holdfast 0123456789abcdef\n" + fields + b"sha256=\n\nout\n" + end,
        b"motd\nholdfast 0123456789abcdef\nstate=here\nhere=b\nid=m\n\n" + end,
        b"holdfast 0123456789abcdef\nstate=none\nhere=b\nid=m\n\n" + b"x" * (HEAD_BYTES + TAIL_BYTES) + end,
    ]
    pieces = [
        *(
            b"\n",
            b"\n\n",
            b"=",
            b"\x00",
            b"\xff",
            b"\x1b[2J",
            b"\r\n",
            b"state=",
            b"state=lost\n",
            b"exit=",
            b"exit=1\n",
        ),
        *(
            b"nan",
            b"inf",
            b"1e999",
            b"-1",
            "\u0661".encode(),
            "²".encode(),
            b"9" * 5000,
            b"holdfast 0123456789abcdef\n",
        ),
        *(b"now=\n", b"left=1\n", b"killed=1\n", b"sha256=0\n", end),
    ]

    def parse(data: bytes) -> bool:
        report = receipt.parse(data, NONCE)
        receipt.is_whole(data, NONCE)
        if report is None:
            return False
        receipt.started_nothing(report)
        assert len(receipt.readable(report.body)) <= 10 * (HEAD_BYTES + TAIL_BYTES)
        ending = receipt.ending(report, "b/m")
        if ending is not None:
            for span in (ending.started_ago, ending.ended_ago):
                assert span is None or abs(span) < 2**63
            assert ending.exit_code is None or 0 <= ending.exit_code < 2**31
        return receipt.boot_of(report) != ""

    cases = slips(good, pieces, most=4)
    prove(tally("execute.receipt: receipts"), cases, parse, refusals=(ConnectorError,), thousands=40)


def test_output_is_shown_without_what_a_terminal_obeys(tally: Callable[[str], Tally]) -> None:
    def parse(body: bytes) -> bool:
        shown = receipt.readable(body)
        assert all(sign in "\n\t" or not ("\x00" <= sign < " " or "\x7f" <= sign < "\xa0") for sign in shown)
        return True

    prove(tally("execute.receipt: output"), st.binary(max_size=60), parse, thousands=20)
