#!/bin/sh
# exports.sh LIBRARY HEADER: the library exports the functions of the header, all of them and nothing else.
set -eu
nm=${NM:-nm}
words() { tr '\n' ' '; }
declared=$(tr '\n' ' ' <"$2" | grep -oE 'GA_API [^;(]*ga_[a-z_0-9]+\(' | grep -oE 'ga_[a-z_0-9]+\($' | tr -d '(' | sort -u | words)
exported=$("$nm" -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort | words)
if [ -z "$declared" ] || [ "$declared" != "$exported" ]; then
  echo "FAILED: the header declares $declared" >&2
  echo "but the library exports $exported" >&2
  exit 1
fi
echo "exports $exported"
