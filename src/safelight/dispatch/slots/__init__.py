"""The slots: their state, the messages of their engines, and the attempts that they run.

* ``claims``: claims jobs for idle slots.
* ``engine_messages``: receives the messages of engines, and passes each to the part that it concerns.
* ``idle``: stops idle slots, and starts them again for waiting jobs.
* ``inbox``: handles the messages of a slot in their order.
* ``registry``: all slots, their gates and their failures.
* ``attempt_runner``: runs attempts on slots, from the claim to the outcome.
* ``slot``: the state of one slot.
"""
