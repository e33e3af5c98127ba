"""What travels over the control socket, version 1: the stable JSON that scripts may rely on.

Fields are only ever added within a version. Times are UTC, ISO 8601 with ``Z``. No field holds a phone number or a key;
only :class:`PairingShown` holds a secret, and only ``GET …/qr`` and a live stream that asked for it carry it.
"""

from __future__ import annotations

from wakit.control.schemas.fleet import (
    ActionInfo,
    Counters,
    DaemonInfo,
    DeclarationInfo,
    OutageInfo,
    PlanInfo,
    Readiness,
    SessionInfo,
    StatusInfo,
    UpgradeInfo,
)
from wakit.control.schemas.live import (
    DaemonChanged,
    Disconnected,
    EventInfo,
    EventLogged,
    Gap,
    Hello,
    JournalInfo,
    LiveFrame,
    PairingFrame,
    PairingShown,
    SessionChanged,
    SessionGone,
)
from wakit.control.schemas.model import API_VERSION, NAME_RULE
from wakit.control.schemas.orders import (
    ApplyRequest,
    BackupInfo,
    BackupList,
    BackupTaken,
    LogLines,
    PairRequest,
    PingInfo,
    PlanRequest,
    RestartRequest,
    RestoreRequest,
    SqlRequest,
)
from wakit.control.schemas.refusal import ErrorInfo, LocationInfo

__all__ = [
    "API_VERSION",
    "NAME_RULE",
    "ActionInfo",
    "ApplyRequest",
    "BackupInfo",
    "BackupList",
    "BackupTaken",
    "Counters",
    "DaemonChanged",
    "DaemonInfo",
    "DeclarationInfo",
    "Disconnected",
    "ErrorInfo",
    "EventInfo",
    "EventLogged",
    "Gap",
    "Hello",
    "JournalInfo",
    "LiveFrame",
    "LocationInfo",
    "LogLines",
    "OutageInfo",
    "PairRequest",
    "PairingFrame",
    "PairingShown",
    "PingInfo",
    "PlanInfo",
    "PlanRequest",
    "Readiness",
    "RestartRequest",
    "RestoreRequest",
    "SessionChanged",
    "SessionGone",
    "SessionInfo",
    "SqlRequest",
    "StatusInfo",
    "UpgradeInfo",
]
