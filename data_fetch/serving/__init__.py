"""The HTTP interface: what `reading` answers, for programs on other machines and browsers."""
