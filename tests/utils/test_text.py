from __future__ import annotations

import os

from utils.text import one_line


def test_what_cannot_be_shown_is_escaped_and_the_rest_stays() -> None:
    assert one_line("Zoë's 画像 <b>'\".jpg") == "Zoë's 画像 <b>'\".jpg"
    assert one_line(os.fsdecode(b"caf\xe9\xff.jpg")) == r"caf\xe9\xff.jpg"
    assert one_line("a\nEpoch[1]\t\x1b[31m\x00\u2028\u202e\ud800") == r"a\nEpoch[1]\t\x1b[31m\x00\u2028\u202e\ud800"
    assert one_line("no-break\xa0space") == "no-break\xa0space"
