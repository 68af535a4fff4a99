"""What a kernel runs before the first cell of a headless notebook: no message is too long.

Whoever runs the notebook reads each message whole, so a cell that prints 500 MB at once would fill
the memory there. The kernel runs this file among the names of the notebook, and leaves none there.
"""

from typing import Any


def limit(session: Any, most: int = 2_000_001) -> None:
    """Let a session of Jupyter shorten what it sends, to a character more than is kept of it."""
    send = session.send

    def shorten(content: Any) -> None:
        if not isinstance(content, dict):
            return
        if isinstance(content.get("text"), str):
            content["text"] = content["text"][:most]
        if isinstance(content.get("traceback"), list):
            content["traceback"] = [line[:most] for line in content["traceback"]]
            content["evalue"] = str(content.get("evalue", ""))[:most]
        data = content.get("data")
        if isinstance(data, dict) and sum(len(str(each)) for each in data.values()) > most:
            content["data"] = {"text/plain": str(data.get("text/plain", ""))[:most]}

    def send_short(stream: Any, message: Any, content: Any = None, *given: Any, **more: Any) -> Any:
        shorten(message.get("content") if isinstance(message, dict) else content)
        return send(stream, message, content, *given, **more)

    session.send = send_short


if "get_ipython" in globals():
    limit(get_ipython().kernel.session)  # type: ignore[name-defined]  # noqa: F821
    del Any, limit
