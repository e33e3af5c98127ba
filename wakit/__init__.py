"""wakit keeps many WhatsApp sessions exactly as a versioned file says."""

from __future__ import annotations

__version__ = "0.1.0"
