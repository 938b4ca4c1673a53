"""What is a number of things, among the settings of a pool. It knows nothing of what is counted."""


def check_number(name: str, number: int, least: int, most: int | None = None) -> int:
    """Return a number that is in range.

    Args:
        name: What it is, for the error.
        number: The number.
        least: The lowest that it may be.
        most: The highest; ``None``: there is none.

    Raises:
        ValueError: It is out of range, or no whole number.
    """
    if type(number) is not int or number < least or (most is not None and number > most):
        wanted = f">= {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"expected {name} as a number {wanted}, got {number!r}")
    return number
