"""The market calendar: sessions, holidays, hours."""
