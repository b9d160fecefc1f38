#!/bin/sh
# glibc_floor.sh LIBRARY HIGHEST: the oldest glibc that the library loads with, which is HIGHEST or older.
set -eu
readelf=${READELF:-readelf}
versions=$("$readelf" -VW "$1" | sed -n 's/.*Name: \([A-Z]*_[0-9.]*\) .*/\1/p' | sort -u)
status=0
floor=0
for version in $versions; do
  case $version in
    GLIBC_*)
      floor=$(printf '%s\n%s\n' "$floor" "${version#GLIBC_}" | sort -V | tail -n 1)
      ;;
    *)
      echo "FAILED: needs $version, a version of another library" >&2
      status=1
      ;;
  esac
done
echo "glibc floor: $floor"
if [ "$floor" = 0 ] || [ "$(printf '%s\n%s\n' "$floor" "$2" | sort -V | tail -n 1)" != "$2" ]; then
  echo "FAILED: the library needs glibc $floor, allowed is $2 or older" >&2
  status=1
fi
exit $status
