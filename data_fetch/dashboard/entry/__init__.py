"""The script that Streamlit runs, alone in a folder: beside `pages` it would be taken for a
program of another kind, in which the address of a page is not found."""
