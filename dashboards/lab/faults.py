"""What the user is told of an error; the traceback of one that nobody expected goes to the server's log."""

from __future__ import annotations

import logging

from gpvae_core.errors import UserError

log = logging.getLogger(__name__)


def told(error: Exception, what: str) -> str:
    """Return the words of a UserError; of any other error, that `what` failed. The log has the rest.

    >>> told(UserError("the disk is full"), "saving")
    'the disk is full'
    """
    if isinstance(error, UserError):
        return str(error)
    log.error("%s failed", what, exc_info=error)
    return f"{what[0].upper()}{what[1:]} failed for a reason that this program did not expect: the server's log has it."
