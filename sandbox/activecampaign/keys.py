"""The account's API keys and what each may do; rights are those of the user behind the key."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class KeyRights:
    """What the user's group may do."""

    admin: bool = True
    """Whether `GET /settings/account` is allowed."""
    list_ids: frozenset[int] | None = None
    """The lists that may be seen; none means all."""
    bulk: bool = True
    """Whether bulk imports are allowed."""

    def sees(self, list_id: int) -> bool:
        """Say whether a list is visible."""
        return self.list_ids is None or list_id in self.list_ids


class KeyRing:
    """Valid keys and their rights."""

    def __init__(self, key: str) -> None:
        self._rights: dict[str, KeyRights] = {key: KeyRights()}

    def rights(self, key: str | None) -> KeyRights | None:
        """Return what a key may do, or nothing for a key that is not valid."""
        return self._rights.get(key) if key else None

    def add(self, key: str) -> None:
        """Let a further key in."""
        self._rights.setdefault(key, KeyRights())

    def revoke(self, key: str) -> None:
        """Let a key in no longer."""
        self._rights.pop(key, None)

    def rotate(self, key: str) -> None:
        """Replace all keys by one."""
        self._rights = {key: KeyRights()}

    def restrict(
        self, key: str, *, admin: bool = False, list_ids: Collection[int] | None = None, bulk: bool = True
    ) -> None:
        """Set what a key may do."""
        lists = None if list_ids is None else frozenset(list_ids)
        self._rights[key] = KeyRights(admin=admin, list_ids=lists, bulk=bulk)

    def as_json(self) -> dict[str, object]:
        """Return the keys with their rights."""
        return {
            key: {
                "admin": rights.admin,
                "bulk": rights.bulk,
                "lists": None if rights.list_ids is None else sorted(rights.list_ids),
            }
            for key, rights in self._rights.items()
        }
