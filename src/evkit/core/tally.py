"""How much an event base waits for, and the most that it ever was.

One object that the maps of descriptors, signals and timers share, since the most of a sum is no sum of the mosts. The
most is looked at before something is taken away, which costs less than at every addition. Knows nothing of events.
"""


class Tally:
    """Counts of what is waited for, and their maxima since those were last asked to begin anew.

    Attributes:
        added: Events that wait for a descriptor or a signal, and time-outs.
        most_added: The most that `added` was before something was taken away; see `note_most`.
        virtual: Calls of `EventBase.add_virtual` that are not undone.
        most_virtual: As `most_added`.
    """

    __slots__ = ("added", "most_added", "most_virtual", "virtual")

    def __init__(self) -> None:
        self.added = 0
        self.most_added = 0
        self.virtual = 0
        self.most_virtual = 0

    def note_most(self) -> None:
        """Bring both maxima up to date."""
        self.most_added = max(self.most_added, self.added)
        self.most_virtual = max(self.most_virtual, self.virtual)
