#!/usr/bin/env bash
# Makes the environment where it is missing, then collects, serves and shows until Ctrl-C:
#
#   scripts/start-local.sh                    # invented prices; with a token in .env, real ones
#   scripts/start-local.sh --minutes 3        # the options of `data-fetch up`
#
# Needs Python 3.11 or newer, pip and make. A second one beside a running one waits for its lead.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in make "${PYTHON:-python3}"; do
  if ! command -v "$program" > /dev/null; then
    echo "$program is missing. Install it (Debian: apt install make python3-pip), or follow" \
      "'Without make' in README.md." >&2
    exit 2
  fi
done

make --silent .venv/.runtime
exec .venv/bin/data-fetch up "$@"
