"""What Python knows of a thread that it did not start itself.

Bytewax's worker is such a thread. Python makes a state for it whenever it takes the interpreter's lock, some 40 times
a pass, and throws it away when it lets go of the lock: 10 µs each, and all that is local to the thread is lost.
"""

import ctypes


def keep_thread_state() -> None:
    """Let the calling thread keep its state until the process ends; called again, nothing changes."""
    ctypes.pythonapi.PyGILState_Ensure()
