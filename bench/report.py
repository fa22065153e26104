"""How measurements are taken in turn, and how they are printed."""

import statistics


def in_turn(measurements, runs, warm_up=1):
    """Calls each of {name: function} in turn, `runs` times over; returns {name: values}.

    Taking turns lets whatever else the machine does fall on all of them alike, and starting each round one
    further on lets none of them always follow the same other. The warm-up rounds are not counted.
    """
    names = list(measurements)
    values = {name: [] for name in names}
    for turn in range(-warm_up, runs):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            value = measurements[name]()
            if turn >= 0:
                values[name].append(value)
    return values


class Report:
    """A table, printed as it grows: what, median, best, ratio, goal, met."""

    def __init__(self):
        self.verdicts = []

    def section(self, title, unit, runs, ratio=""):
        print(f"\n{title}: {unit}, {runs} runs each")
        self._columns("", "median", "best", ratio, "goal", "met")

    def row(self, what, values, best=min, ratio=None):
        """A measurement shown for comparison, without a goal. `best` is min, max, or None where neither means much."""
        self._line(what, values, best, f"{ratio:.2f}" if ratio else "")

    def at_most(self, what, values, ratio, goal, best=min):
        """A measurement whose `ratio` must not exceed `goal`."""
        self._judged(what, values, best, ratio, f"<= {goal:.2f}", ratio <= goal)

    def at_least(self, what, values, ratio, goal, best=max):
        """A measurement whose `ratio` must reach `goal`."""
        self._judged(what, values, best, ratio, f">= {goal:.2f}", ratio >= goal)

    def note(self, sentence):
        print(f"  NOTE: {sentence}")

    def summary(self):
        print(f"\n{sum(self.verdicts)} of {len(self.verdicts)} goals met")

    def _judged(self, what, values, best, ratio, goal, met):
        self.verdicts.append(met)
        self._line(what, values, best, f"{ratio:.2f}", goal, "yes" if met else "NO")

    def _line(self, what, values, best, *rest):
        self._columns(what, f"{statistics.median(values):.2f}", f"{best(values):.2f}" if best else "", *rest)

    @staticmethod
    def _columns(what, median, best, ratio="", goal="", met=""):
        print(f"  {what:42}{median:>9}{best:>9}{ratio:>9}  {goal:>8}  {met}".rstrip(), flush=True)
