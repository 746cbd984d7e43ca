"""Writes a notification as the message that a service takes: Slack's, Discord's, or the JSON object as it is. Pure.

Sources: https://docs.slack.dev/reference/block-kit/blocks/section-block (3,000 characters a text, 50 blocks a message),
https://docs.discord.com/developers/resources/webhook#execute-webhook (2,000 characters).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...base.values import to_json
from .target import DISCORD, SLACK

SLACK_TEXT, SLACK_BLOCKS, DISCORD_TEXT = 3000, 50, 2000  # limits of the services
_MARKDOWN = re.compile(r"([\\*_~`|>#\[\]()<])")
_CUT = "…"


def body_for(service: str, content: Mapping[str, Any]) -> str:
    """Returns the body that is posted to a service."""
    if service == SLACK:
        return to_json(slack_message(content))
    return to_json(discord_message(content) if service == DISCORD else content)


def slack_message(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns Slack's message: the summary, and a table for each sweep; names in it are no commands of Slack's."""
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "plain_text", "text": _short(content["text"], SLACK_TEXT), "emoji": False}}
    ]
    for table in _tables(content):
        body = cut_lines(_slack_escaped(table), SLACK_TEXT - len("```\n\n```"))
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"```\n{body}\n```"}})
    return {"text": _slack_escaped(_short(content["text"], SLACK_TEXT // 2)), "blocks": blocks[:SLACK_BLOCKS]}


def discord_message(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns Discord's message: the summary, and as many tables as fit; it mentions nobody."""
    text = _MARKDOWN.sub(r"\\\1", content["text"])
    text = _short(text, DISCORD_TEXT).rstrip("\\") if len(text) > DISCORD_TEXT else text
    for table in _tables(content):
        left = DISCORD_TEXT - len(text) - len("\n```\n\n```")
        body = cut_lines(table, left)
        if body.count("\n") < 2:  # heads alone say nothing
            break
        text += f"\n```\n{body}\n```"
    return {"content": text, "allowed_mentions": {"parse": []}}


def _tables(content: Mapping[str, Any]) -> list[str]:
    """Returns the tables of the sweeps, none of which ends the code block that it stands in."""
    return [sweep["table"].replace("`", "'") for sweep in content["sweeps"] if sweep.get("table")]


def cut_lines(text: str, most: int) -> str:
    """Keeps as many whole lines of a text as have room in `most` characters, and says where some are missing."""
    if len(text) <= most:
        return text
    kept, used = [], len(_CUT)
    for line in text.split("\n"):
        used += len(line) + 1
        if used > most:
            break
        kept.append(line)
    return "\n".join([*kept, _CUT]) if kept else ""


def _short(text: str, most: int) -> str:
    """Cuts a text to `most` characters."""
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def _slack_escaped(text: str) -> str:
    """Escapes the three characters with which Slack's text has commands, such as <!channel>."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
