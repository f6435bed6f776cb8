"""All probes, in their order."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import free
from .paid import Purchase
from .pricing import Pricing
from .report import Report
from .result import PurchaseResult
from .session import ContactSession, Facts
from .uploading import upload

Confirm = Callable[[str], bool]


def ask_all(
    session: ContactSession,
    report: Report,
    folder: Path,
    video: Path | None,
    confirm: Confirm | None,
    *,
    until_expired: bool,
) -> None:
    """Make the free probes; with `confirm`, buy a job and follow it."""
    with session.http:
        for name, find in free.PROBES.items():
            report.probe(name, partial(find, session))
        if confirm is None:
            _find_price(session, report, video)
        else:
            with session.client(folder / "ledger.db") as client:
                purchase = Purchase(session, client, folder, confirm)
                _buy(report, purchase, video)
                _follow(report, purchase, PurchaseResult(purchase, until_expired))
        report.probe("headers of all replies", partial(free.headers, session))


def _find_price(session: ContactSession, report: Report, video: Path | None) -> None:
    asset_id = None
    if video is not None:

        def upload_video() -> Facts:
            nonlocal asset_id
            with session.client() as client:
                asset, facts = upload(session, client, video)
            asset_id = asset.id
            return facts

        report.probe("upload", upload_video)
    report.probe("price of the cheapest job", lambda: Pricing().find(session, asset_id))


def _buy(report: Report, purchase: Purchase, video: Path | None) -> None:
    report.probe("job of an earlier run", purchase.find)
    report.probe("upload", lambda: purchase.upload(video), once=True)
    report.probe("price of the cheapest job", purchase.estimate, once=True)
    report.probe("submit", purchase.submit, once=True)


def _follow(report: Report, purchase: Purchase, result: PurchaseResult) -> None:
    report.probe("how soon it is listed", purchase.measure_listing, once=True)
    report.probe("echo of the request", purchase.echo, once=True)
    report.probe("the job's statuses", purchase.wait, once=True)
    report.probe("result", result.read, once=True)
    report.probe("owners", result.owners, once=True)
    report.probe("file host", result.host, once=True)
    report.probe("expiry of the URL", result.expiry, once=True)
    report.probe("file", result.file, once=True)
