#!/usr/bin/env bash
# The documented calls of the older chain and streaming backends, answered by `data-fetch serve`.
#
#   BASE_URL=http://127.0.0.1:8000 SYMBOL=NIFTY examples/curl-examples.sh
#
# Needs curl and python3. A symbol with an ampersand is encoded: SYMBOL=M%26M
set -euo pipefail

BASE_URL=${BASE_URL:-http://127.0.0.1:8000}
SYMBOL=${SYMBOL:-NIFTY}
EMAIL=${EMAIL:-trader.$$.$RANDOM@example.com}
PASSWORD=${PASSWORD:-correct horse battery}

# Sends a request; a refusal ends the script.
call() {
  curl --silent --show-error --fail "$@"
}

# Prints members of a JSON document by their path (`latest.0.pcr_oi`); of a list how many it has.
pick() {
  python3 -c '
import json, sys

document = json.load(sys.stdin)
for path in sys.argv[1:]:
    value = document
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    print(f"  {path}:", f"{len(value)} of them" if isinstance(value, list) else value)
' "$@"
}

# Prints one member of a JSON document and nothing else.
only() {
  pick "$1" | sed 's/^[^:]*: //'
}

heading() {
  printf '\n%s\n' "$1"
}

json_body() {
  python3 -c '
import json, sys

names = sys.argv[1::2]
print(json.dumps(dict(zip(names, sys.argv[2::2]))))
' "$@"
}

heading "The server"
call "$BASE_URL/" | pick message data.version data.endpoints
call "$BASE_URL/health" | pick status database_connected total_records
call "$BASE_URL/api/docs" | pick info.title openapi

heading "Option chains in contracts: $SYMBOL"
call "$BASE_URL/stats" | pick total_records records_by_type latest_fetch_time
call "$BASE_URL/pipeline/status" | pick data.running data.success_rate data.symbols
call "$BASE_URL/option-chain/$SYMBOL?limit=5" | pick symbol underlying_value total_calls calls unit
call "$BASE_URL/option-chain/$SYMBOL/strikes?option_type=CE" | pick data.total_strikes
call "$BASE_URL/option-chain/$SYMBOL/expiry-dates" | pick data.expiry_dates data.expiry_dates.0
call --header 'Content-Type: application/json' --data '{"option_type": "PE", "limit": 10}' \
  "$BASE_URL/option-chain/filter" | pick data.total_records data.records.0.identifier

heading "Products in shares: $SYMBOL"
call "$BASE_URL/api/data/products" | pick products
call "$BASE_URL/api/data/underlying/$SYMBOL?limit=5" | pick product count
call "$BASE_URL/api/data/chain/$SYMBOL?limit=1" |
  pick chains.0.product chains.0.expiry chains.0.spot_price chains.0.pcr_oi \
    chains.0.atm_straddle_price
call "$BASE_URL/api/data/expiries/$SYMBOL" | pick expiries
expiry=$(call "$BASE_URL/api/data/expiries/$SYMBOL" | only expiries.0)

heading "Analytics: $SYMBOL $expiry"
call "$BASE_URL/api/analytics/pcr/$SYMBOL" | pick latest.0.expiry latest.0.pcr_oi
call "$BASE_URL/api/analytics/pcr/$SYMBOL?expiry=$expiry&history=true" | pick latest.pcr_oi history
call "$BASE_URL/api/analytics/volatility-surface/$SYMBOL" | pick expiries expiries.0.avg_iv
call "$BASE_URL/api/analytics/max-pain/$SYMBOL?expiry=$expiry" | pick max_pain_strike distance_pct
call "$BASE_URL/api/analytics/oi-buildup/$SYMBOL?expiry=$expiry" | pick call_buildup put_buildup

heading "An account: $EMAIL"
call --header 'Content-Type: application/json' \
  --data "$(json_body email "$EMAIL" password "$PASSWORD" name Trader)" \
  "$BASE_URL/api/auth/register" | pick message user.email
token=$(call --header 'Content-Type: application/json' \
  --data "$(json_body email "$EMAIL" password "$PASSWORD")" "$BASE_URL/api/auth/login" | only token)
call --request POST --header "Authorization: Bearer $token" "$BASE_URL/api/auth/verify" |
  pick valid email
