#!/bin/sh
# one_export.sh LIBRARY NAME: the library exports this function and nothing else.
set -eu
nm=${NM:-nm}
exported=$("$nm" -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort | tr '\n' ' ')
if [ "$exported" != "$2 " ]; then
  echo "FAILED: the library exports $exported, but should export $2 alone" >&2
  exit 1
fi
echo "exports $exported"
