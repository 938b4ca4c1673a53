"""The guide to tagged data tells of each name, and its numbers are those of the code."""

import inspect
import re
from pathlib import Path

import evkit.extra
from evkit.extra import tagging
from evkit.extra.message_layout import MAX_DEPTH
from evkit.extra.tagged_message import DEFAULT_MAX_FIELDS

GUIDE = (Path(__file__).parents[2] / "docs" / "tagging.md").read_text("utf-8")


def test_each_public_name_is_told_of() -> None:
    assert set(evkit.extra.__all__) <= set(re.findall(r"\w+", GUIDE))


def test_the_limits_are_as_told() -> None:
    assert f"may be nested {MAX_DEPTH} deep" in GUIDE
    assert f"may have {DEFAULT_MAX_FIELDS:,} fields" in GUIDE
    assert f"A payload may have {tagging.DEFAULT_MAX_PAYLOAD >> 20} MiB" in GUIDE


def test_each_function_of_libevent_is_there() -> None:
    kinds = ("_int", "_int64", "_string", "_timeval")
    wanted = ["marshal", "marshal_buffer", "unmarshal", "unmarshal_header", "unmarshal_fixed"]
    wanted += [verb + kind for verb in ("marshal", "unmarshal") for kind in kinds]
    wanted += [verb + kind for verb in ("encode", "decode") for kind in ("_tag", "_int", "_int64")]
    wanted += ["peek", "peek_length", "payload_length", "consume"]
    assert len(wanted) == 23
    for name in wanted:
        function = getattr(tagging, name)
        assert inspect.isfunction(function)
        assert f"``evtag_{name}``" in (function.__doc__ or "")
