"""The body of a form that is taken apart as a whole.

Decides whether it is there at all: one that was never read must not pass for an empty form. It knows nothing of forms.
"""

from evkit.errors import LocalProtocolError
from evkit.http.server.request import Request


def whole_body(request: Request, call: str) -> bytes:
    """Return the body of a request.

    Args:
        request: What to take it from.
        call: Who asks, for the error.

    Raises:
        LocalProtocolError: The handler was registered with ``stream=True``.
    """
    door = request.connection
    if request.receiver is not None or (door is not None and door.body_is_due):
        raise LocalProtocolError(f"{call} wants the whole body: register the handler without stream=True")
    return request.body
