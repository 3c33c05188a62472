"""The script that Streamlit runs for every view of a page: `data-fetch dashboard` starts it."""

from data_fetch.dashboard.app import main

main()
