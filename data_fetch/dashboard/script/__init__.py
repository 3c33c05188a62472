"""What Streamlit runs. In a folder of its own: Streamlit takes every module of a folder `pages`
beside its script for a page, and puts the folder of the script before all others on the path of
imports, where `numbers` is not ours."""
