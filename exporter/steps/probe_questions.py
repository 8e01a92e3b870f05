"""What `exporter probe` wants to know: where ActiveCampaign's documentation is silent or contradicts itself.

`simulator` is what the simulated ActiveCampaign of this project does by default, `switches` names the setting
of it that makes it do otherwise. A test compares both with the simulator's real settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to know about an account."""

    name: str
    asks: str
    """The question as people read it."""
    simulator: str
    """The answer of the simulator by default."""
    switches: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Other answers, with the simulator's setting as `NAME=VALUE` that gives each."""
    number: str | None = None
    """The simulator's setting that takes any number given as an answer."""
    writes: bool = False

    def switch(self, answer: str) -> str | None:
        """The simulator's setting for an answer; None where the default gives it, or nothing does."""
        if answer == self.simulator:
            return None
        if self.number is not None and answer.isdecimal():
            return f"{self.number}={answer}"
        return self.switches.get(answer)


@dataclass(frozen=True, slots=True)
class Finding:
    """A question answered, or not; holds neither secrets nor people."""

    question: Question
    answer: str | None
    """None: this account does not tell."""
    words: str = ""
    """ActiveCampaign's own words beside it, or why there is no answer."""

    @property
    def differs(self) -> bool | None:
        """Whether the simulator does otherwise by default; None where there is no answer."""
        return None if self.answer is None else self.answer != self.question.simulator

    @property
    def switch(self) -> str | None:
        """The simulator's setting that gives this answer, where one is needed and exists."""
        return None if self.answer is None else self.question.switch(self.answer)


TAKEN: Final = "taken"
FAILURE: Final = "in failure"
LOST: Final = "neither taken nor in failure"
REFUSED_400: Final = "request refused with 400"
REFUSED_413: Final = "request refused with 413"

_ALL: Final = (
    Question("key", "Who am I?", "200 with JSON"),
    Question("limit_header", "What does RateLimit-Limit say?", "5", number="requests_per_second"),
    Question("remaining_header", "Is RateLimit-Remaining there?", "yes"),
    Question("lists", "Is meta.total of the lists text or a number?", "text"),
    Question("default_page", "How many fields does a page without limit have?", "20", number="default_page"),
    Question(
        "largest_page", "How many fields does a page with limit=1000 have?", "100", number="largest_page"
    ),
    Question("account", "May this key read settings/account?", "200 with JSON"),
    Question("progress", "Does import/bulk_import tell the progress?", "200 with JSON"),
    Question("info_without_id", "What does import/info say without a batch id?", "400 with JSON"),
    Question(
        "unknown_batch",
        "What does import/info say of a batch that never was?",
        "200, status false",
        {"404 with JSON": "unknown_batch_answer=404"},
    ),
    Question(
        "bad_key",
        "How is a wrong key refused?",
        "403 with JSON",
        {"200 with a page": "bad_key_answer=login_page", "401 with JSON": "bad_key_answer=unauthorized"},
    ),
    Question("unknown_path", "What does a path that is not there say?", "404 with JSON"),
    Question(
        "contacts_251",
        "Are 251 contacts refused?",
        REFUSED_400,
        {REFUSED_413: "oversize_answer=413", TAKEN: "contacts_per_bulk_request=251"},
        writes=True,
    ),
    Question(
        "bytes_400001",
        "Is a body of 400,001 bytes refused?",
        REFUSED_400,
        {REFUSED_413: "oversize_answer=413", TAKEN: "bytes_per_bulk_request=400002"},
        writes=True,
    ),
    Question(
        "refusal_index",
        "Which number has the second of three contacts in a refusal?",
        "2",
        {"1": "refusal_index=zero_based", "3": "refusal_index=wrong", "none": "refusal_index=missing"},
        writes=True,
    ),
    Question(
        "success_key",
        "How is the first key of an accepted request spelt?",
        "success",
        {"Success": "success_key=Success"},
        writes=True,
    ),
    Question(
        "bulk_budget",
        "Do bulk requests lower RateLimit-Remaining?",
        "yes",
        {"no": "bulk_uses_general_budget=false"},
        writes=True,
    ),
    Question(
        "duplicate",
        "Which of two rows with one address holds?",
        "the last",
        {"the first": "duplicate_in_batch=first_wins"},
        writes=True,
    ),
    Question(
        "apostrophe",
        "What becomes of an apostrophe before the @?",
        FAILURE,
        {TAKEN: "apostrophes_fail=false"},
        writes=True,
    ),
    Question("plus", "What becomes of a plus before the @?", TAKEN, writes=True),
    Question(
        "idn",
        "What becomes of a domain outside ASCII?",
        FAILURE,
        {TAKEN: "non_ascii_addresses=accept", REFUSED_400: "non_ascii_addresses=refuse"},
        writes=True,
    ),
    Question("upper_case", "How is an upper-case address stored?", "in lower case", writes=True),
    Question(
        "unknown_field",
        "What becomes of a contact with an unknown field id?",
        TAKEN,
        {FAILURE: "unknown_fields_fail=true"},
        writes=True,
    ),
    Question(
        "unknown_list",
        "What becomes of a contact with an unknown list id?",
        TAKEN,
        {FAILURE: "unknown_lists_fail=true"},
        writes=True,
    ),
    Question(
        "opted_out",
        "Does subscribe bring back who unsubscribed?",
        "no, silently",
        {"no, and lists them in failure": "unsubscribed_fail=true"},
        writes=True,
    ),
    Question(
        "success_ids",
        "Whose ids does success list?",
        "created contacts",
        {"created and updated contacts": "success_ids=created_and_updated"},
        writes=True,
    ),
    Question(
        "empty_value",
        "Does an empty value clear the stored one?",
        "yes",
        {"no": "empty_clears=false"},
        writes=True,
    ),
)

QUESTIONS: Final[Mapping[str, Question]] = MappingProxyType({question.name: question for question in _ALL})
"""All questions by name, in the order in which they are shown."""
