"""Do a part of a test as another user of the system, where the test runs as root."""

from __future__ import annotations

import os
import pwd
import traceback
import warnings
from collections.abc import Callable


def as_user(account: pwd.struct_passwd, work: Callable[[], None]) -> None:
    """Do something in a child process of another account, which needs none of this one's other threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # From Python 3.12 on, where there are other threads.
        child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
