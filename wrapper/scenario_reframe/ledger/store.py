"""The ledger: requests and paid jobs, in one database that several processes share.

Short transactions only. An entry has an owner, a lease by the database's clock that is renewed,
and a fence that grows with every owner and that every later write checks: an owner that was
suspended finds on waking that it owns nothing. It stores no credentials and no URLs.
"""

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from scenario_reframe.arguments import is_id
from scenario_reframe.errors import (
    ConfigurationError,
    InvalidInputError,
    ReframeError,
    SubmissionUncertainError,
)
from scenario_reframe.models import Job, Submission
from scenario_reframe.secret import Secret
from scenario_reframe.timing import DEFAULT_TIMING, Timing

from .accounts import Account
from .database import Database, Row, Transaction
from .interface import Check, Claim, ClipRequest, Entry, Post, SubmitConditions, accept
from .jobs_and_uploads import JobsAndUploads
from .lease import LeaseRenewer, owns, renew, take_lease
from .migration import prepare
from .posts import COUNT_UNRESOLVED, add_post, delete_post, record_end, set_posting, store_job
from .rows import ENTRY, PostRow, cleaned, encode_name, entry_of, post_of, request_key
from .submit_conditions import check_conditions, owned_entry

# A caller's key still finds its request after the job failed; there is one such entry then.
_FOUND = f"""
    {ENTRY} WHERE account = :account AND key = :key
    AND (state <> 'failed' OR (:with_failed = 1 AND job_id IS NOT NULL)) ORDER BY id DESC LIMIT 1
"""
_INSERT = """
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


class SqlLedger(JobsAndUploads):
    """A ledger in an SQLite file, mode 0600; in memory if `where` is None.

    `longest_post`: seconds for which a POST may go on after its lease has lapsed. Raises
    ConfigurationError if it cannot be opened, has a newer version, or is not a ledger.
    """

    def __init__(
        self,
        where: str | os.PathLike[str] | None,
        *,
        base_url: str,
        project_id: str | None,
        api_key: str | Secret[str],
        longest_post: float,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        self._project_id = project_id
        self._longest_post = longest_post
        self._timing = timing
        self.database = Database(where, timing)
        self._leases = LeaseRenewer(self._renew, timing.renewal)
        try:
            with self.database.transaction() as transaction:
                prepare(transaction, self.database.label)
                # A ledger in memory is one client's alone: its project need not be learnt.
                named = project_id if where is not None else project_id or ""
                self.account = Account(transaction, base_url, named, api_key)
                self.account.id_in(transaction)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        # A traceback with locals shows one that could not be opened, too.
        return f"SqlLedger({self.database.label if hasattr(self, 'database') else None!r})"

    def close(self) -> None:
        """Stop renewing leases, and close the database."""
        self._leases.close()
        self.database.close()

    # --- claims -----------------------------------------------------------------------------------

    def claim(
        self, request: ClipRequest, check: Check = accept, *, run: int | None = None
    ) -> Claim | Entry:
        """Claim the unfinished entry of this request, or a new one; or return the finished one."""
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
                row = _insert_entry(transaction, account, key, request)
            claim = self._take_lease(transaction, row, run)
        self._leases.add(claim)
        return claim

    def reclaim(self, entry: Entry) -> Claim:
        """Claim an unfinished entry."""
        same = {"id": entry.id, "key": entry.key, "created_at": entry.created_at}
        with self.database.transaction() as transaction:
            row = transaction.row(_SAME, account=self.account.id_in(transaction), **same)
            if row is None:
                raise ConfigurationError(
                    f"entry {entry.id} is finished, or belongs to another ledger, server or project"
                )
            claim = self._take_lease(transaction, row, None)
        self._leases.add(claim)
        return claim

    def release(self, claim: Claim, error: BaseException | None = None) -> None:
        """Let others claim the entry; close it as failed if provably no job was made."""
        self._leases.remove(claim)
        owner = self._leases.owner

        def write(transaction: Transaction) -> None:
            row = transaction.row("SELECT * FROM entries WHERE token = :token", token=claim.token)
            if row is None or not owns(row, claim, owner):
                return
            state = _state_after_release(transaction, row, error)
            why = cleaned(str(error)) if state == "failed" != row["state"] else row["error"]
            transaction.run(_RELEASE, id=row["id"], state=state, error=why)

        self.database.write_now_or_later(write, None)

    # --- POSTs ------------------------------------------------------------------------------------

    def may_post(self, claim: Claim, conditions: SubmitConditions) -> None:
        """Raise the error with which `open_post` would refuse a POST now."""
        with self._last_check(claim, conditions):
            pass

    def open_post(self, claim: Claim, submission: Submission, conditions: SubmitConditions) -> None:
        """Make the last check before the wire and write the POST's row, in one transaction."""
        began = self._timing.clock()
        with self._last_check(claim, conditions) as (transaction, row):
            post_id = add_post(transaction, row, submission, conditions, self._longest_post)
            set_posting(transaction, row, conditions.price, self._timing.lease)
        claim.posts.append(PostRow(id=post_id, submission=submission, before=row["state"]))
        if self._timing.clock() - began > self._timing.last_check:
            self.withdraw_post(claim)
            raise ConfigurationError(
                f"the ledger {self.database.label} took too long: nothing was submitted"
            )

    def withdraw_post(self, claim: Claim) -> None:
        """Delete the POST that was opened last: nothing of it was sent."""
        post, owner = _last(claim), self._leases.owner
        if post is None or post.outcome != "open":
            return
        claim.posts.remove(post)
        self.database.write_now_or_later(lambda tx: delete_post(tx, claim, post, owner), None)

    def end_post(self, claim: Claim, post: Post, reason: str) -> None:
        """Record how the POST that was opened last ended, whoever has claimed its entry."""
        last = post if isinstance(post, PostRow) else _last(claim)
        clock, owner = self._timing.clock, self._leases.owner
        if last is None:
            return
        last.outcome, last.server_ended = post.outcome, post.server_ended
        ended = last.ended = clock() if post.ended is None else post.ended

        def write(transaction: Transaction) -> None:
            ago, lease = clock() - ended, self._timing.lease
            record_end(transaction, claim, last, reason, ago=ago, owner=owner, lease=lease)

        self.database.write_now_or_later(write, None)

    def record_job(self, token: str, job: Job) -> bool:
        """Record a request's job, whoever has claimed its entry; False if it is another's."""

        def write(transaction: Transaction) -> bool:
            return store_job(transaction, self.account.id_in(transaction), token, job)

        is_its = self.database.write_now_or_later(write, otherwise=True)
        project = job.raw.get("ownerId")
        if is_id(project) and not self.account.is_known:
            with suppress(ReframeError):
                self.learn_project(project)
        return is_its

    # --- private ----------------------------------------------------------------------------------

    @contextmanager
    def _last_check(
        self, claim: Claim, conditions: SubmitConditions
    ) -> Iterator[tuple[Transaction, Row]]:
        """A transaction in which this claim's POST may be sent, and the entry's row."""
        with self.database.transaction(self._timing.last_check) as transaction:
            self.database.check_file()
            row = owned_entry(transaction, claim, self._leases.owner)
            check_conditions(transaction, row, conditions, self._timing.slot)
            yield transaction, row

    def _take_lease(self, transaction: Transaction, row: Row, run: int | None) -> Claim:
        take_lease(transaction, row, self._leases.owner, self._timing.lease, run)
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


def _insert_entry(transaction: Transaction, account: int, key: str, request: ClipRequest) -> Row:
    new = transaction.one(
        _INSERT,
        account=account,
        key=key,
        token=secrets.token_hex(16),
        content=request.content,
        source=encode_name(request.source),
        settings=json.dumps(dict(request.settings)),
        target=encode_name(request.target),
    )
    return transaction.one(f"{ENTRY} WHERE id = :id", id=new["id"])


def _check_bound(entry: Entry, request: ClipRequest) -> None:
    """Raise InvalidInputError if a caller's key is bound to another video or other settings."""
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
            f"key: the ledger has it for other {' and '.join(differs)}; nothing was submitted. "
            "Pass another key, or the same request"
        )


def _state_after_release(transaction: Transaction, row: Row, error: BaseException | None) -> str:
    if row["state"] != "claimed":
        return str(row["state"])
    if isinstance(error, SubmissionUncertainError):
        return "uncertain"
    (unresolved,) = transaction.one(COUNT_UNRESOLVED, id=row["id"])
    return "new" if error is None or unresolved else "failed"


def _since_end(post: Row, now: float) -> float:
    """Seconds since a POST ended; less than 0 if it may still go on.

    At least minus its longest duration, even if the machine's clock was set back since then.
    """
    return max(float(now - post["ended_at"]), -float(post["longest"]))


def _last(claim: Claim) -> PostRow | None:
    """The POST of a claim that was opened last."""
    return next((post for post in reversed(claim.posts) if isinstance(post, PostRow)), None)
