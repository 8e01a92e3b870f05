"""The questions whose answers need writing: a few made-up contacts at a domain that nobody receives mail at.

Every contact carries a tag and has the probe's token in its address, automations are excluded, and lists are
joined and left through the bulk importer alone. What must be refused is sent in a form that creates at most
two contacts if it is taken after all.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from exporter.errors import ConfigurationError
from exporter.steps.probe import Prober, as_object
from exporter.steps.probe_questions import FAILURE, LOST, TAKEN
from exporter.steps.raw import Reply

TAG: Final = "exporter-probe"
DOMAIN: Final = "example.com"
"""Reserved, so that no mail reaches anybody (www.rfc-editor.org/rfc/rfc2606)."""
UNKNOWN_ID: Final = 999_999_999
"""Of a list or field that no account has."""
TOO_MANY_CONTACTS: Final = 251
TOO_MANY_BYTES: Final = 400_001

FIRST_PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 15.0
MAX_BATCH_SECONDS: Final = 900.0
READ_TRIES: Final = 5
"""A contact may show a little later than its batch is complete."""
PAGE_SIZE: Final = 100
_FINAL: Final = frozenset({"completed", "failed", "interrupted"})

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a posted batch."""

    refused: str | None = None
    """`request refused with 400`, where nothing was queued."""
    words: str = ""
    final: bool = False
    success: tuple[str, ...] = ()
    """Ids of contacts."""
    failure: frozenset[str] = frozenset()
    """Addresses in lower case; all made up."""

    def fate_of(self, address: str) -> str:
        """What became of an address, as far as the batch tells; LOST until the contact is seen."""
        return FAILURE if address.lower() in self.failure else LOST


@dataclass(slots=True)
class WriteProbe:
    """The write probes on one list. `token` is in every address."""

    prober: Prober
    list_id: str
    token: str
    _batches: dict[str, str] = field(default_factory=dict)
    """The batch ids by what they are for."""
    _refusals: dict[str, Outcome] = field(default_factory=dict)

    def address(self, name: str, domain: str = DOMAIN) -> str:
        """A made-up address."""
        return f"{TAG}-{self.token}-{name}@{domain}"

    @property
    def plain(self) -> str:
        """The address of a contact with nothing odd about it, which fills up batches."""
        return self.address("plain")

    async def run(self) -> None:
        """Ask everything. Raises ConfigurationError where an ordinary request is refused, RetryLaterError."""
        self.prober.say("Asking what is refused.")
        await self._ask_refusals()
        self.prober.say("Writing made-up contacts.")
        await self._post_batches()
        outcomes = {name: await self._follow(name) for name in (*self._batches, *self._refusals)}
        await self._ask_again(outcomes["people"])
        self.prober.say("Looking at what was written.")
        await self._judge(outcomes)

    async def check_list(self) -> None:
        """Look at the list before anything is written. Raises ConfigurationError."""
        reply = await self.prober.get(f"lists/{self.list_id}")
        if reply.status != 200:
            raise ConfigurationError(
                f"list {self.list_id} can't be used with connection '{self.prober.connection.id}' "
                f"({reply.form}): name one that exists and that its key may manage"
            )

    async def _ask_refusals(self) -> None:
        """What must be refused. The same two addresses again and again create two contacts at worst."""
        pair = [self._row(self.plain), self._row(self.address("second"))]
        many = (pair * TOO_MANY_CONTACTS)[:TOO_MANY_CONTACTS]
        await self._ask_oversize("contacts_251", _body(many))
        # Padding with spaces makes the body large and what is stored of it small.
        await self._ask_oversize("bytes_400001", _body(pair).ljust(TOO_MANY_BYTES))
        await self._ask_index()

    async def _ask_oversize(self, name: str, body: bytes) -> None:
        reply = await self._post(name, body)
        self.prober.note(name, TAKEN if name in self._batches else self._refusals[name].refused, reply.words)

    async def _ask_index(self) -> None:
        rows = [self._row(self.plain), self._row(f"{TAG}-{self.token}"), self._row(self.address("second"))]
        reply = await self._post("index", _body(rows))
        reasons = (reply.content or {}).get("failureReasons")
        named = [entry.get("contact", "none") for entry in _objects(reasons)]
        if "index" in self._batches:
            self.prober.note("refusal_index", TAKEN)
        elif reply.status == 400 and len(named) == 1:
            self.prober.note("refusal_index", str(named[0]), reply.words)
        else:
            self.prober.note("refusal_index", f"{reply.form}, naming {len(named)}", reply.words)

    async def _post_batches(self) -> None:
        """One batch for each question, so that what is refused as a whole answers one question only."""
        named = {"listid": self.list_id}
        people = [
            self._row(self.plain, first_name="First", last_name="Last", subscribe=[named]),
            self._row(self.address("leaver"), unsubscribe=[named]),
        ]
        reply = await self._post("people", _body(people))
        if "people" not in self._batches:
            raise ConfigurationError(
                f"ActiveCampaign refuses an ordinary request ({reply.form}; {reply.words}): "
                "may the key's user import contacts?"
            )
        spelling = next((key for key in reply.content or {} if key.lower() == "success"), "no such key")
        self.prober.note("success_key", spelling)
        twin = self.address("twin")
        await self._post(
            "duplicate", _body([self._row(twin, first_name="First"), self._row(twin, first_name="Second")])
        )
        await self._post_beside_plain("apostrophe", self._row(self._apostrophe))
        await self._post_beside_plain("idn", self._row(self._idn))
        await self._post_beside_plain("upper_case", self._row(self.address("upper").upper()))
        field_row = self._row(self.address("field"), fields=[{"id": UNKNOWN_ID, "value": "x"}])
        await self._post_beside_plain("unknown_field", field_row)
        list_row = self._row(self.address("list"), subscribe=[{"listid": UNKNOWN_ID}])
        await self._post_beside_plain("unknown_list", list_row)
        await self._ask_budget()

    @property
    def _apostrophe(self) -> str:
        return f"o'{self.address('apostrophe')}"

    @property
    def _plus(self) -> str:
        return f"{TAG}-{self.token}+plus@{DOMAIN}"

    @property
    def _idn(self) -> str:
        return self.address("idn", f"bücher.{DOMAIN}")

    async def _ask_budget(self) -> None:
        """Compare RateLimit-Remaining after silence: of a reading request, and of a bulk request."""
        await self.prober.be_quiet()
        reading = _remaining(await self.prober.get("users/me"))
        await self.prober.be_quiet()
        bulk = _remaining(await self._post_beside_plain("plus", self._row(self._plus)))
        if reading is None or bulk is None:
            self.prober.note("bulk_budget", None, "the header is missing")
        elif bulk == reading:
            counts = f"{reading} after either"
            self.prober.note("bulk_budget", "yes", counts)
        elif bulk == reading + 1:
            self.prober.note(
                "bulk_budget", "no", f"{reading} after a reading request, {bulk} after a bulk one"
            )
        else:
            self.prober.note("bulk_budget", None, "somebody else used the account at the same time")

    async def _post_beside_plain(self, name: str, row: Row) -> Reply:
        """Post a contact with the plain one beside it: a single contact would draw on another limit."""
        return await self._post(name, _body([row, self._row(self.plain)]))

    async def _post(self, name: str, body: bytes) -> Reply:
        reply = await self.prober.post_bulk(body)
        batch_id = (reply.content or {}).get("batchId")
        if reply.status == 200 and isinstance(batch_id, str | int) and batch_id:
            self._batches[name] = str(batch_id)
        else:
            how = f"request refused with {reply.status}" if reply.status >= 400 else reply.form
            self._refusals[name] = Outcome(refused=how, words=reply.words)
        return reply

    async def _follow(self, name: str) -> Outcome:
        """Ask for a batch until it is final, at growing intervals; not final after a quarter of an hour."""
        if name in self._refusals:
            return self._refusals[name]
        account = self.prober.account
        scale = account.pace.time_scale
        pause, started = FIRST_PAUSE_SECONDS * scale, account.now()
        while account.now() - started < MAX_BATCH_SECONDS * scale:
            reply = await self.prober.get("import/info", {"batchId": self._batches[name]})
            content = reply.content or {}
            if reply.status == 200 and content.get("status") in _FINAL:
                return Outcome(
                    final=True,
                    success=tuple(str(entry) for entry in _items(content.get("success"))),
                    failure=frozenset(str(entry).lower() for entry in _items(content.get("failure"))),
                )
            await self.prober.ports.clock.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS * scale)
        return Outcome(words="its batch did not end within a quarter of an hour")

    async def _ask_again(self, people: Outcome) -> None:
        """Update both people: subscribe who has left, clear a value; whose ids does `success` list?"""
        leaver = self.address("leaver")
        before = await self._list_status(leaver)
        named = {"listid": self.list_id}
        rows = [self._row(self.plain, last_name=""), self._row(leaver, subscribe=[named])]
        await self._post("again", _body(rows))
        again = await self._follow("again")
        if not people.final or not again.final:
            for name in ("opted_out", "success_ids", "empty_value"):
                self.prober.note(name, None, again.words or people.words)
            return
        self._judge_success(people, again)
        await self._judge_opted_out(leaver, before, again)
        plain = await self._contact(self.plain)
        last_name = None if plain is None else plain.get("lastName")
        cleared = {"": "yes", "Last": "no"}.get(str(last_name or ""))
        self.prober.note("empty_value", cleared, "" if cleared else "the contact can't be found")

    def _judge_success(self, people: Outcome, again: Outcome) -> None:
        created, updated = bool(people.success), bool(again.success)
        answers = {
            (True, False): "created contacts",
            (True, True): "created and updated contacts",
            (False, True): "updated contacts",
            (False, False): "nobody's",
        }
        self.prober.note("success_ids", answers[created, updated])

    async def _judge_opted_out(self, leaver: str, before: str | None, again: Outcome) -> None:
        after = await self._list_status(leaver)
        if before != "2":
            words = f"unsubscribe through the importer gave list status {before}"
            self.prober.note("opted_out", None, words)
        elif after == "2":
            listed = leaver.lower() in again.failure
            self.prober.note("opted_out", "no, and lists them in failure" if listed else "no, silently")
        else:
            self.prober.note("opted_out", f"YES: list status {after}")

    async def _judge(self, outcomes: dict[str, Outcome]) -> None:
        await self._judge_duplicate(outcomes["duplicate"])
        await self._judge_upper_case(outcomes["upper_case"])
        for name, address in (
            ("apostrophe", self._apostrophe),
            ("plus", self._plus),
            ("idn", self._idn),
            ("unknown_field", self.address("field")),
            ("unknown_list", self.address("list")),
        ):
            await self._judge_fate(name, address, outcomes[name])

    async def _judge_fate(self, name: str, address: str, outcome: Outcome) -> None:
        if outcome.refused or not outcome.final:
            self.prober.note(name, outcome.refused, outcome.words)
            return
        fate = outcome.fate_of(address)
        if fate == LOST and await self._contact(address) is not None:
            fate = TAKEN
        self.prober.note(name, fate)

    async def _judge_duplicate(self, outcome: Outcome) -> None:
        address = self.address("twin")
        contact = await self._contact(address) if outcome.final else None
        if contact is None:
            await self._judge_fate("duplicate", address, outcome)
            return
        held = {"First": "the first", "Second": "the last"}.get(str(contact.get("firstName")))
        self.prober.note("duplicate", held or "neither")

    async def _judge_upper_case(self, outcome: Outcome) -> None:
        address = self.address("upper")
        contact = await self._contact(address) if outcome.final else None
        if contact is None:
            await self._judge_fate("upper_case", address, outcome)
            return
        stored = str(contact.get("email"))
        kinds = {address.lower(): "in lower case", address.upper(): "as it was sent"}
        self.prober.note("upper_case", kinds.get(stored, "otherwise"))

    async def _list_status(self, address: str) -> str | None:
        """The contact's status on the list, as text; None where there is none."""
        contact = await self._contact(address)
        if contact is None:
            return None
        reply = await self.prober.get(f"contacts/{contact['id']}")
        memberships = _objects((reply.content or {}).get("contactLists"))
        found = [entry for entry in memberships if str(entry.get("list")) == self.list_id]
        return str(found[0].get("status")) if found else None

    async def _contact(self, address: str) -> Row | None:
        """The contact as `GET /contacts` shows it; looked for a few times, for it may show later."""
        scale = self.prober.account.pace.time_scale
        for attempt in range(READ_TRIES):
            if attempt:
                await self.prober.ports.clock.sleep(FIRST_PAUSE_SECONDS * scale)
            reply = await self.prober.get("contacts", {"email": address})
            for contact in _objects((reply.content or {}).get("contacts")):
                if self.token in str(contact.get("email")).lower():
                    return contact
        return None

    def _row(self, address: str, **values: Any) -> Row:
        return {"email": address, "tags": [TAG], **values}


async def remove_contacts(prober: Prober, token: str) -> int:
    """Delete the contacts of the probe with this token: those that carry both the token and the tag.

    Returns how many; each counts towards ActiveCampaign's monthly limit of deletions.
    """
    tags = await prober.get("tags", {"search": TAG, "limit": str(PAGE_SIZE)})
    tag_ids = {
        str(tag.get("id"))
        for tag in _objects((tags.content or {}).get("tags"))
        if str(tag.get("tag")).lower() == TAG
    }
    removed = 0
    for tag_id in sorted(tag_ids):
        found = await prober.get("contacts", {"tagid": tag_id, "email_like": token, "limit": str(PAGE_SIZE)})
        for contact in _objects((found.content or {}).get("contacts")):
            if await _is_ours(prober, str(contact.get("id")), token, tag_id):
                reply = await prober.ask("DELETE", f"contacts/{contact['id']}")
                removed += reply.status == 200
    return removed


async def _is_ours(prober: Prober, contact_id: str, token: str, tag_id: str) -> bool:
    """Whether a contact has both marks by its own page: a filter may have been ignored."""
    content = (await prober.get(f"contacts/{contact_id}")).content or {}
    tagged = any(str(entry.get("tag")) == tag_id for entry in _objects(content.get("contactTags")))
    return tagged and token in str(as_object(content.get("contact")).get("email")).lower()


def _body(rows: list[Row]) -> bytes:
    return orjson.dumps({"contacts": rows, "exclude_automations": True})


def _remaining(reply: Reply) -> int | None:
    text = reply.headers.get("ratelimit-remaining", "")
    return int(text) if text.isdecimal() else None


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: object) -> list[Row]:
    return [entry for entry in _items(value) if isinstance(entry, dict)]
