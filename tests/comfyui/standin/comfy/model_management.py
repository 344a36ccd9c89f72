"""The flag by which a running prompt is interrupted."""

import threading

_interrupt = threading.Event()


class InterruptProcessingException(Exception):
    pass


def interrupt_current_processing(value=True):
    if value:
        _interrupt.set()
    else:
        _interrupt.clear()


def throw_exception_if_processing_interrupted():
    if _interrupt.is_set():
        _interrupt.clear()
        raise InterruptProcessingException


def unload_all_models():
    print("models unloaded")
