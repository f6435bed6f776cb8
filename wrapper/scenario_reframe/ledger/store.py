"""The ledger: what was asked for and paid for, in one database that several processes share.

Short transactions only. An entry has an owner, a lease by the database's clock that is renewed,
and a fence that grows with every owner and that every later write checks: an owner that was stopped
and wakes up finds that it owns nothing. No credentials and no URLs are in it.
"""

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from scenario_reframe.errors import (
    ConfigurationError,
    InvalidInputError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.models import Job, Submission
from scenario_reframe.timing import USUAL, Timing

from .accounts import Account
from .bookkeeping import Records
from .database import Database, Row, Transaction
from .interface import Check, Claim, ClipRequest, Entry, Post, Terms, accept
from .lease import Leases, lease_out, renew
from .migration import prepare
from .post_checks import check_terms, owned
from .posts import COUNT_UNRESOLVED, add_post, drop_post, keep_end, keep_job, set_posting
from .rows import ENTRY, PostRow, entry_of, packed, post_of, request_key, shown

# A caller's key names its request even after its job failed; there is one such entry then.
_FOUND = f"""
    {ENTRY} WHERE account = :account AND key = :key
    AND (state <> 'failed' OR (:with_failed = 1 AND job_id IS NOT NULL)) ORDER BY id DESC LIMIT 1
"""
_BEGIN = """
    INSERT INTO entries (
        account, key, token, state, content, source, settings, target, created_at, updated_at
    ) VALUES (
        :account, :key, :token, 'new', :content, :source, :settings, :target, CLOCK, CLOCK
    ) RETURNING id
"""
_SAME = f"""
    {ENTRY} WHERE id = :id AND account = :account AND key = :key
    AND created_at = :created_at AND state IN UNFINISHED
"""
_RELEASE = """
    UPDATE entries SET state = :state, error = :error, owner = NULL, lease_until = CLOCK,
        updated_at = CLOCK WHERE id = :id
"""


class SqlLedger(Records):
    """A ledger in an SQLite file, mode 0600; in memory if `where` is None.

    `longest_post`: seconds for which a POST may go on after its lease has ended. Raises
    ConfigurationError when it cannot be opened, is of a newer version, or is no ledger.
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | None,
        *,
        base_url: str,
        project_id: str | None,
        api_key: str,
        longest_post: float,
        timing: Timing = USUAL,
    ) -> None:
        self._project_id = project_id
        self._longest_post = longest_post
        self._timing = timing
        self.database = Database(where, timing)
        self._leases = Leases(self._renew, timing.renewal)
        try:
            with self.database.transaction() as transaction:
                prepare(transaction, self.database.shown)
                # What is in memory is one client's alone: whose rows those are need not be learnt.
                named = project_id if where is not None else project_id or ""
                self.account = Account(transaction, base_url, named, api_key)
                self.account.id_in(transaction)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"SqlLedger({self.database.shown!r})"

    def close(self) -> None:
        """Close what was opened."""
        self._leases.close()
        self.database.close()

    # --- claims -----------------------------------------------------------------------------------

    def claim(
        self, request: ClipRequest, check: Check = accept, *, run: int | None = None
    ) -> Claim | Entry:
        """Claim the unfinished entry of this request, or a new one; or give the finished one."""
        key, is_callers = request_key(request), request.is_callers_key
        with self.database.transaction() as transaction:
            account = self.account.id_in(transaction)
            row = transaction.row(_FOUND, account=account, key=key, with_failed=int(is_callers))
            entry = None if row is None else entry_of(row)
            if entry is not None and is_callers:
                _check_bound(entry, request)
            if entry is not None and entry.state == "failed":
                return entry
            check(entry)
            if entry is not None and entry.is_finished:
                return entry
            if row is None:
                row = _begin(transaction, account, key, request)
            claim = self._lease_out(transaction, row, run)
        self._leases.add(claim)
        return claim

    def reclaim(self, entry: Entry) -> Claim:
        """Claim an unfinished entry."""
        same = {"id": entry.id, "key": entry.key, "created_at": entry.created_at}
        with self.database.transaction() as transaction:
            row = transaction.row(_SAME, account=self.account.id_in(transaction), **same)
            if row is None:
                raise ConfigurationError(
                    f"entry {entry.id} is finished, or of another ledger, server or project"
                )
            claim = self._lease_out(transaction, row, None)
        self._leases.add(claim)
        return claim

    def release(self, claim: Claim, error: BaseException | None = None) -> None:
        """Let others claim it; close it if nothing can have been made."""
        self._leases.remove(claim)
        owner = self._leases.owner

        def write(transaction: Transaction) -> None:
            row = transaction.row("SELECT * FROM entries WHERE token = :token", token=claim.token)
            if row is None or (row["fence"], row["owner"]) != (claim.fence, owner):
                return
            state = _state_after_release(transaction, row, error)
            why = shown(str(error)) if state == "failed" != row["state"] else row["error"]
            transaction.run(_RELEASE, id=row["id"], state=state, error=why)

        self.database.keep(write, None)

    # --- POSTs ------------------------------------------------------------------------------------

    def may_post(self, claim: Claim, terms: Terms) -> None:
        """Raise what keeps its POST from going out now."""
        with self._last_check(claim, terms):
            pass

    def open_post(self, claim: Claim, submission: Submission, terms: Terms) -> None:
        """The last check before the wire, and the POST's row, in one transaction."""
        began = self._timing.clock()
        with self._last_check(claim, terms) as (transaction, row):
            post_id = add_post(transaction, row, submission, terms, self._longest_post)
            set_posting(transaction, row, terms.price, self._timing.lease)
        claim.posts.append(PostRow(id=post_id, submission=submission, before=row["state"]))
        if self._timing.clock() - began > self._timing.last_check:
            self.withdraw_post(claim)
            raise ConfigurationError(
                f"the ledger {self.database.shown} took too long: nothing was submitted"
            )

    def withdraw_post(self, claim: Claim) -> None:
        """Nothing of the POST that was opened last was sent."""
        post, owner = _last(claim), self._leases.owner
        if post is None or post.outcome != "open":
            return
        claim.posts.remove(post)
        self.database.keep(lambda tx: drop_post(tx, claim, post, owner), None)

    def end_post(self, claim: Claim, post: Post, reason: str) -> None:
        """Keep how the POST that was opened last ended, whoever has its entry by now."""
        last = post if isinstance(post, PostRow) else _last(claim)
        clock, owner = self._timing.clock, self._leases.owner
        if last is None:
            return
        last.outcome, last.server_ended = post.outcome, post.server_ended
        ended = last.ended = clock() if post.ended is None else post.ended

        def write(transaction: Transaction) -> None:
            ago, lease = clock() - ended, self._timing.lease
            keep_end(transaction, claim, last, reason, ago=ago, owner=owner, lease=lease)

        self.database.keep(write, None)

    def made(self, token: str, job: Job) -> bool:
        """Keep the job of a request, whoever has its entry by now; False if it is another's."""

        def write(transaction: Transaction) -> bool:
            return keep_job(transaction, self.account.id_in(transaction), token, job)

        is_its = self.database.keep(write, otherwise=True)
        project = job.raw.get("ownerId")
        if isinstance(project, str) and project and not self.account.is_known:
            with suppress(ReframeError):
                self.learn_project(project)
        return is_its

    # --- inside -----------------------------------------------------------------------------------

    @contextmanager
    def _last_check(self, claim: Claim, terms: Terms) -> Iterator[tuple[Transaction, Row]]:
        with self.database.transaction(self._timing.last_check) as transaction:
            self.database.check_in_place()
            row = owned(transaction, claim, self._leases.owner)
            check_terms(transaction, row, terms, self._timing.slot)
            yield transaction, row

    def _lease_out(self, transaction: Transaction, row: Row, run: int | None) -> Claim:
        lease_out(transaction, row, self._leases.owner, self._timing.lease, run)
        leased = transaction.one(f"{ENTRY} WHERE id = :id", id=row["id"])
        token, clock = str(leased["token"]), self._timing.clock()
        made = transaction.rows("SELECT * FROM posts WHERE entry = :id ORDER BY id", id=row["id"])
        found = [
            post_of(
                post,
                None if post["ended_at"] is None else clock - _since_end(post, leased["now"]),
                token=token,
                project_id=self._project_id,
            )
            for post in made
        ]
        return Claim(entry=entry_of(leased), fence=leased["fence"], token=token, posts=[*found])

    def _renew(self, tokens: Sequence[str]) -> None:
        with self.database.transaction() as transaction:
            items = json.dumps(list(tokens))
            renew(transaction, items, self._leases.owner, self._timing.lease)


def _begin(transaction: Transaction, account: int, key: str, request: ClipRequest) -> Row:
    made = transaction.one(
        _BEGIN,
        account=account,
        key=key,
        token=secrets.token_hex(16),
        content=request.content,
        source=packed(request.source),
        settings=json.dumps(dict(request.settings)),
        target=packed(request.target),
    )
    return transaction.one(f"{ENTRY} WHERE id = :id", id=made["id"])


def _check_bound(entry: Entry, request: ClipRequest) -> None:
    """Raise InvalidInputError if a caller's key is that of another request."""
    settings = json.loads(json.dumps(dict(request.settings)))
    differs = [
        what
        for what, is_other in (
            ("video", entry.content != request.content),
            ("settings", entry.settings != settings),
        )
        if is_other
    ]
    if differs:
        raise InvalidInputError(
            f"key: it is on record for other {' and '.join(differs)}; nothing was submitted. "
            "Give another key, or the same request"
        )


def _state_after_release(transaction: Transaction, row: Row, error: BaseException | None) -> str:
    if row["state"] != "claimed":
        return str(row["state"])
    if isinstance(error, SubmissionUncertainError):
        return "uncertain"
    (unresolved,) = transaction.one(COUNT_UNRESOLVED, id=row["id"])
    return "new" if error is None or unresolved else "failed"


def _since_end(post: Row, now: float) -> float:
    """Seconds since a POST ended; less than 0 if it may go on.

    No longer than it can: the machine's clock may have been set back since then.
    """
    return max(float(now - post["ended_at"]), -float(post["longest"]))


def _last(claim: Claim) -> PostRow | None:
    return next((post for post in reversed(claim.posts) if isinstance(post, PostRow)), None)
