"""What Slack, Discord and other services are sent, and how a service is known."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yacs_sweep.launch.notify.message import (
    DISCORD_TEXT,
    SLACK_BLOCKS,
    SLACK_TEXT,
    body_for,
    cut_lines,
    discord_message,
    slack_message,
)
from yacs_sweep.launch.notify.target import notify_problems, service_of

TABLE = "trial       val/mAP\n──────────  ───────\n" + "\n".join(f"trial-{number:04d}  40" for number in range(5))


def told(text: str = "sweep ended. lr (abc): 5 finished", table: str = TABLE, sweeps: int = 1) -> dict[str, Any]:
    return {"text": text, "sweeps": [{"name": "lr", "table": table}] * sweeps}


@pytest.mark.parametrize(
    ("target", "service", "url"),
    [
        ("https://hooks.slack.com/services/T/B/x", "slack", "https://hooks.slack.com/services/T/B/x"),
        ("slack+https://mattermost.example.org/hooks/x", "slack", "https://mattermost.example.org/hooks/x"),
        ("https://discord.com/api/webhooks/1/x", "discord", "https://discord.com/api/webhooks/1/x"),
        ("https://canary.discord.com/api/webhooks/1/x", "discord", "https://canary.discord.com/api/webhooks/1/x"),
        ("https://discord.com/api/webhooks/1/x/slack", "slack", "https://discord.com/api/webhooks/1/x/slack"),
        ("DISCORD+http://127.0.0.1/x", "discord", "http://127.0.0.1/x"),
        ("https://example.org/discord.com", "other", "https://example.org/discord.com"),
        ("https://notdiscord.com/api", "other", "https://notdiscord.com/api"),
    ],
)
def test_a_service_is_known_by_its_host_or_by_what_stands_before_the_url(target: str, service: str, url: str) -> None:
    assert service_of(target) == (service, url)
    assert notify_problems(target) == []


def test_a_service_before_something_else_is_a_mistake() -> None:
    assert notify_problems("slack+https://") == ["--notify: not a valid URL; write https://HOST/PATH"]
    assert "only http:// and https:// URLs work" in notify_problems("teams+https://host/x")[0]


def test_slack_gets_blocks_with_the_table_and_no_commands_of_its_own() -> None:
    message = slack_message(told("new best: <!channel> & <x>", TABLE + "\n<!here> ``` `x`"))
    head, table = message["blocks"]
    assert head["text"] == {"type": "plain_text", "text": "new best: <!channel> & <x>", "emoji": False}
    assert message["text"] == "new best: &lt;!channel&gt; &amp; &lt;x&gt;"
    assert table["type"] == "section" and table["text"]["type"] == "mrkdwn"
    text = table["text"]["text"]
    assert text.startswith("```\ntrial       val/mAP\n") and text.endswith("\n```")
    assert "&lt;!here&gt;" in text and text.count("`") == 6


def test_discord_gets_its_content_and_mentions_nobody() -> None:
    message = discord_message(told("lr_*x* [a](b) @everyone"))
    assert message["allowed_mentions"] == {"parse": []}
    assert message["content"].startswith("lr\\_\\*x\\* \\[a\\]\\(b\\) @everyone\n```\ntrial       val/mAP\n")
    assert message["content"].endswith("trial-0004  40\n```")


@pytest.mark.parametrize("sweeps", [1, 80])
def test_the_services_limits_are_kept(sweeps: int) -> None:
    long = told("x*" * 5000, "\n".join(["head", "────"] + ["<&>" * 30] * 200), sweeps)
    slack, discord = slack_message(long), discord_message(long)
    assert len(slack["blocks"]) <= SLACK_BLOCKS
    assert all(len(block["text"]["text"]) <= SLACK_TEXT for block in slack["blocks"])
    assert all(block["text"]["text"].endswith("…\n```") for block in slack["blocks"][1:])
    assert len(discord["content"]) <= DISCORD_TEXT
    short = discord_message(told("ended", long["sweeps"][0]["table"], sweeps))
    assert len(short["content"]) <= DISCORD_TEXT and short["content"].endswith("…\n```")


def test_a_sweep_without_a_value_has_no_table() -> None:
    assert len(slack_message(told(table=""))["blocks"]) == 1
    assert discord_message(told("ended", table=""))["content"] == "ended"


def test_any_other_service_gets_the_object_as_it_is() -> None:
    assert json.loads(body_for("other", told())) == told()


def test_lines_are_cut_whole() -> None:
    assert cut_lines("ab\ncd\nef", 8) == "ab\ncd\nef"
    assert cut_lines("ab\ncd\nefg", 8) == "ab\ncd\n…"
    assert cut_lines("abcdefgh", 3) == ""
