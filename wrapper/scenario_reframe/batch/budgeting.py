"""What a batch may cost. No I/O."""

from attrs import define

from scenario_reframe.errors import ReframeError

_ROUNDING = 1e-9


class BudgetSpentError(ReframeError):
    """The next job would cost more than is left of the budget. Nothing was paid for it."""


@define
class Budget:
    """Creative units: what may be spent in all (None: any), and what is spent or put by."""

    most: float | None
    spent: float = 0.0

    def check(self) -> None:
        """Raise BudgetSpentError if nothing is left: then nothing need be uploaded."""
        if self.most is not None and self.spent >= self.most:
            raise BudgetSpentError(
                f"the budget of {self.most:g} creative units is spent. Nothing was paid for it"
            )

    def put_by(self, price: float) -> None:
        """Set a job's price aside before it is bought. Raises BudgetSpentError."""
        if self.most is not None and self.spent + price > self.most + _ROUNDING:
            raise BudgetSpentError(
                f"the budget of {self.most:g} creative units does not allow it: {self.spent:g} are "
                f"spent, this one costs {price:g}. Nothing was paid for it"
            )
        self.spent += price

    def settle(self, put_by: float, cost: float | None) -> None:
        """A job was bought, at a cost that the server may have named."""
        self.spent += (cost - put_by) if cost is not None else 0.0

    def give_back(self, put_by: float) -> None:
        """It was not bought."""
        self.spent -= put_by
