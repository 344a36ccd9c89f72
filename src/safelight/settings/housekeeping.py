"""What the server removes by itself, and when."""

from dataclasses import dataclass
from typing import Annotated

from safelight.core.retention import Retention
from safelight.settings.declare import PositiveSeconds, Seconds, doc


@dataclass(frozen=True, slots=True, kw_only=True)
class HousekeepingSettings:
    """Housekeeping"""

    housekeeping_every_s: Annotated[
        Seconds,
        doc(
            "Seconds between two runs, which remove what is old and free the bytes that nothing refers to; 0: only on "
            "request. See [housekeeping.md](housekeeping.md)."
        ),
    ] = 6 * 3600.0
    keep_previews_s: Annotated[Seconds, doc("Age at which previews (files in `temp`) are removed; 0: never.")] = (
        24 * 3600.0
    )
    keep_outputs_s: Annotated[
        Seconds, doc("Age at which outputs are removed that their owner does not keep; 0: never.")
    ] = 0.0
    keep_history_s: Annotated[Seconds, doc("Age at which ended jobs leave the history; 0: never.")] = 0.0
    keep_history_jobs: Annotated[
        int, doc("Ended jobs of each user that stay in the history, the latest; 0: any number.", ge=0)
    ] = 0
    keep_all_of_admins: Annotated[bool, doc("Outputs and jobs of administrators stay, whatever their age.")] = False
    keep_logs_s: Annotated[Seconds, doc("Age at which the logs of ended jobs are removed; 0: with the job.")] = (
        30 * 24 * 3600.0
    )

    keep_audit_s: Annotated[Seconds, doc("Age at which entries of the audit are removed; 0: never.")] = (
        365 * 24 * 3600.0
    )
    backup_dir: Annotated[
        str,
        doc(
            "Folder for the backups that the server makes, best on another disk: [backup.md](backup.md).",
            default="none",
        ),
    ] = ""
    backup_every_s: Annotated[PositiveSeconds, doc("Seconds between two backups, which housekeeping makes.")] = (
        24 * 3600.0
    )
    backups_kept: Annotated[int, doc("Backups that stay in `backup_dir`; older ones are removed.", ge=1)] = 7

    @property
    def retention(self) -> Retention:
        return Retention(
            self.keep_previews_s,
            self.keep_outputs_s,
            self.keep_history_s,
            self.keep_logs_s,
            most_jobs=self.keep_history_jobs,
            spares_admins=self.keep_all_of_admins,
        )
