"""What the comparison says about lists of seconds. Standard library only."""
import statistics


def quantile(values, q):
    """Linear between the neighbours, as numpy's default."""
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def summary(values):
    """min, median, and the spread: half of the values lie in an interval so wide, as a share of the
    median."""
    if not values:
        raise ValueError("nothing was timed")
    median = statistics.median(values)
    return {"n": len(values), "min": min(values), "median": median,
            "spread": (quantile(values, 0.75) - quantile(values, 0.25)) / median}


def better(sides):
    """Name of the side with the smaller median; sides: name -> seconds."""
    return min(sides, key=lambda name: statistics.median(sides[name]))


def ratios(ours, theirs):
    """How many times faster ours is, by medians and by minima; by round if the lists pair up."""
    a, b = summary(ours), summary(theirs)
    result = {"median": b["median"] / a["median"], "min": b["min"] / a["min"]}
    if len(ours) == len(theirs):
        pairs = [t / o for o, t in zip(ours, theirs)]
        result["low"], result["high"] = quantile(pairs, 0.25), quantile(pairs, 0.75)
    return result


def table(head, rows):
    """Lines of a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
